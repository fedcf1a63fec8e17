"""How the page looks: on a phone and a screen, by day and by night, and on paper."""

_DAY = """--paper:#fff;--card:#f5f7f9;--ink:#17212b;--soft:#5b6875;--line:#dde3e9;--paid:#1769aa;--faint:#c9d3dd;
--good:#2e8b57;--warn:#d98e04;--bad:#c43d3d;--band:#7fa8cc"""
_NIGHT = """--paper:#11161c;--card:#1a222b;--ink:#e7edf3;--soft:#9aa8b6;--line:#2b3642;--paid:#5aa9e6;--faint:#3a4856;
--good:#52b788;--warn:#e9b44c;--bad:#e57373;--band:#47719a"""

STYLE = f"""
:root{{color-scheme:light dark;{_DAY}}}
@media (prefers-color-scheme:dark){{:root{{{_NIGHT}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}}
main{{max-width:1180px;margin:0 auto;padding:20px 16px 48px}}
h1{{font-size:1.5rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}}
h2{{font-size:1.05rem;margin:0 0 8px}}
p{{margin:0 0 8px;overflow-wrap:anywhere}}
.soft{{color:var(--soft)}}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:18px 0}}
.card{{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px;min-width:0}}
.card b{{display:block;font-size:1.45rem;line-height:1.3;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}}
.card span{{color:var(--soft);font-size:.85rem;display:block;overflow-wrap:anywhere}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;margin:18px 0}}
figure,section{{margin:0;border:1px solid var(--line);border-radius:10px;padding:14px;min-width:0}}
section{{margin:16px 0}}
@media (max-width:500px){{main{{padding:14px 10px 32px}}figure,section{{padding:10px}}}}
figcaption{{color:var(--soft);font-size:.85rem;margin-top:8px;overflow-wrap:anywhere}}
svg{{display:block;width:100%;height:auto;font-size:13px;overflow:hidden}}
svg text{{fill:var(--ink)}}
svg text.soft{{fill:var(--soft);font-size:12px}}
svg text.name{{font-weight:600}}
svg text.label{{font-size:12px;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}}
.paid{{fill:var(--paid);background:var(--paid)}}
.faint{{fill:var(--faint);background:var(--faint)}}
.good,.node.answered{{fill:var(--good);background:var(--good)}}
.warn{{fill:var(--warn);background:var(--warn)}}
.bad,.node.failed{{fill:var(--bad);background:var(--bad)}}
.node{{fill:var(--paid)}}
.band{{fill:var(--band);opacity:.45}}
.band.answered{{fill:var(--good)}}
.band.failed{{fill:var(--bad);opacity:.7}}
.mark{{stroke:var(--ink);stroke-dasharray:3 3}}
.key{{display:inline-flex;align-items:center;gap:6px;margin:0 14px 8px 0;font-size:.85rem;color:var(--soft)}}
.key i{{width:12px;height:12px;border-radius:3px;display:inline-block}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}}
th,td{{padding:5px 8px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}}
th{{color:var(--soft);font-weight:600}}
th.word,td.word{{text-align:left}}
td.long{{white-space:normal;overflow-wrap:anywhere;min-width:16rem}}
tr:last-child td{{border-bottom:0}}
@page{{margin:14mm}}
@media print{{
:root{{{_DAY}}}
body{{font-size:10pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}}
main{{max-width:none;padding:0}}
figure,.card,tr{{break-inside:avoid}}
h2{{break-after:avoid}}
thead{{display:table-header-group}}
.wide{{overflow:visible}}
table{{font-size:7.5pt}}
th,td{{padding:2px 3px;white-space:normal;overflow-wrap:break-word}}
td.long{{min-width:0}}
.charts{{grid-template-columns:1fr 1fr}}
}}
"""
