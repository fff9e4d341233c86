"""Tables of clips: readers, splits by recording, label budgets, checks, and stores of samples."""
