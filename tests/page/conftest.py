"""A page whose models are stand-ins, served once for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.support.fake_pipeline import FakePipeline, serve


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FakePipeline:
    return FakePipeline(tmp_path_factory.mktemp("cards"))


@pytest.fixture(scope="module")
def url(pipeline: FakePipeline) -> Iterator[str]:
    with serve(pipeline) as url:
        yield url
