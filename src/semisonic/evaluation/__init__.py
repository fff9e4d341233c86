"""Numbers with intervals, comparisons with tests, figures and the report. No torch here."""
