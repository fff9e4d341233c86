"""From live sound to events: scores of windows, their mean, thresholds, alarms."""
