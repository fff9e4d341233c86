"""Where in long recordings a sound is: scores along time, and events made of them."""
