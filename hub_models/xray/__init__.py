"""One X-ray as arrays: read, drawn, its lungs and masks measured."""
