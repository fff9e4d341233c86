"""The command ``semisonic``: one file a verb, and the parser made from options classes."""
