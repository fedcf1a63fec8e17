"""The job file that `batchroute init` writes: it runs at once, and says what each key is for."""

from typing import Final

STARTER: Final = """\
# A batchroute job. Run it with `batchroute run job.yaml`; see first what it would send with `batchroute check job.yaml`.
# It runs as it stands, with no key and no network: its provider is simulated. Paths are relative to this file.

job: starter                      # its name: small letters, digits, - and _

input:
  path: requests.jsonl            # .jsonl, .jsonl.gz, .jsonl.zst, .parquet, a directory or a glob
  id: id                          # the column that names each record; without it, file and line

output:
  path: out                       # a directory: results, ledger of every attempt, manifest
  keep: []                        # input columns to carry into the results

prompt:
  system: You are a precise assistant.
  user: "{{ text }}"              # a template over the record's columns; keep the quotes
  params: {max_tokens: 256, temperature: 0}
  # Instead of user: `column: messages` sends a column that holds a list of messages,
  # and `body: body` one that holds a whole request body.

classify:                         # stages in order; the first that decides wins
  - patterns:
      code: ['\\bfunction\\b', '\\bpython\\b', '\\bSQL\\b']
      reason: ['\\bprove\\b', '\\bstep by step\\b']

providers:
  simulated: {kind: simulator}
  # A real one by its name: its URL is known, and its key is taken from the environment (OPENAI_API_KEY).
  # openai: {preset: openai}      # or azure, anthropic, gemini, deepseek, mistral, groq, together, fireworks,
  #                               # openrouter, xai, qwen, zhipu, moonshot, ollama, vllm
  # Any other OpenAI-compatible server:
  # mine: {base_url: "https://llm.example.com/v1", api_key: "${MY_API_KEY}"}

models:                           # what routes choose from; limits are those of your account
  small: {provider: simulated, model: sim-small, limits: {concurrency: 64}, timeout: 30s}
  large: {provider: simulated, model: sim-large, limits: {concurrency: 32}, timeout: 60s}
  # mini:
  #   provider: openai
  #   model: gpt-5.4-mini         # the provider's name for it
  #   limits: {concurrency: 64, rpm: 10000, tpm: 4000000}
  #   timeout: 30s                # wall clock of one attempt
  #   price: {input: 1, output: 2}  # your USD per million tokens; leave it out for known models

routes:                           # first match wins; models are tried in order; `default` closes the list
  demanding: {when: {task: [code, reason]}, models: [large, small]}
  default: {models: [small, large]}

baseline: large                   # savings are measured against this model
"""
