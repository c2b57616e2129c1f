"""Many X-rays: found, read ahead, answered together, packed."""
