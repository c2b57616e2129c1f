"""The Gradio page: the only room that imports gradio."""
