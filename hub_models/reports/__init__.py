"""What is kept and said of one answer: overlay, heat map, masks, description and PDF."""
