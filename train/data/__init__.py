"""An X-ray data set, from a folder to audited rows."""
