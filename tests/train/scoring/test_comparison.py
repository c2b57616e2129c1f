from tests.support.datasets import dataset, halves, rectangle
from train.scoring.comparison import outline_tables
from train.scoring.predictions import outlines_record, outlines_scores


def test_the_figures_of_groups_and_boxes_stand_beside_each_unet():
    boxed = {"side": 64, "label": "COVID-19", "infection_boxes": [[0, 0, 64, 16], [0, 40, 30, 60]]}
    rows = dataset(
        {**boxed, "source": "north", "lung_mask": rectangle(64, slice(0, 16))},
        {"side": 64, "label": "Normal", "source": "south"},
    )
    scores = outlines_scores(outlines_record(rows, halves()))
    blind = outlines_scores(outlines_record(rows, halves(blind=64)))
    text = "\n\n".join(outline_tables({"unet": scores, "unet_baseline": blind}))
    assert "| unet | class COVID-19 | 1 | 0.667 | 0.500 | - | - |\n" in text
    assert "| unet_baseline | class COVID-19 | 1 | 0.000 | 0.000 | - | - |\n" in text
    assert "| unet | source south | - | - | - | 1 | 1.000 |\n" in text
    assert "| unet_baseline | source south | - | - | - | 1 | 0.000 |" in text
    assert "| UNet | Images | Boxes | Hit |\n| --- | --- | --- | --- |\n| unet | 1 | 2 | 0.500 |\n" in text
    assert text.endswith("| unet_baseline | 1 | 2 | 0.000 |")


def test_without_boxes_there_is_no_table_of_them():
    rows = dataset({"side": 64, "label": "COVID-19", "lung_mask": rectangle(64)})
    assert "Boxes" not in "".join(outline_tables({"unet": outlines_scores(outlines_record(rows, halves()))}))
