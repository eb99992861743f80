"""`report_to=simpletuner`: a run as one page, to be kept and sent around."""
