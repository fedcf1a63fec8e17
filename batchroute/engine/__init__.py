"""Tasks and time: pools, the journey of one record, the pipeline of one job. The only floor that starts tasks."""
