"""What several test files share: files, models, data sets, a pipeline and a Hub that are made here."""
