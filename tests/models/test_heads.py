"""Fine-tuning replaces exactly the layers that the number of classes decides, in every net of the paper's study."""

import csv
import warnings

import pytest
import timm
import torch

from conftest import ROOT
from sat.models.classifier import classifier_layers


@pytest.mark.slow
def test_the_classifier_is_all_that_another_number_of_classes_changes():
    with (ROOT / "studies/imagenet69.csv").open() as stream:
        names = [row["architecture"] for row in csv.DictReader(stream)]
    for name in names:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            many, few = (timm.create_model(name, num_classes=count).state_dict() for count in (1000, 102))
        assert many.keys() == few.keys()
        differing = {key for key in many if many[key].shape != few[key].shape}
        assert differing == {key for key in many if key.rpartition(".")[0] in classifier_layers(name)}, name
