"""Files and texts about one answer: overlay, heat map, masks, description and PDF."""
