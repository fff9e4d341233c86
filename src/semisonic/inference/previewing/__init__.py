"""Looking at augmentations and listening to them."""
