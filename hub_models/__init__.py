"""Models for lung X-rays: everything that makes a checkpoint usable, shared by the page and the training scripts."""
