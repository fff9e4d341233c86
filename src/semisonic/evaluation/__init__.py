"""Numbers with intervals, honest comparisons, figures and the report. No torch in this room."""
