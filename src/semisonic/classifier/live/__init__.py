"""Sound as it comes, to events: scores of windows, their mean, thresholds, alarms."""
