"""The command ``semisonic``: the verbs in files by subject, and the parser made from options
classes.
"""
