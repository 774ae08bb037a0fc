"""Exported models answer as the trained ones do, also in 8 bits and without PyTorch."""

import copy
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.learning.marks import QUICK, SIDE, SPECS, backbone, marks, photo, truth
from worker.learning import onnx_model
from worker.learning.aligner import Aligner, Classifier, Voice, weigh
from worker.learning.backbone import untrained
from worker.learning.card import ModelCard
from worker.learning.export import EIGHT_BITS, export_onnx, quantize
from worker.learning.metrics import mean_average_precision
from worker.learning.onnx_model import CARD, MODEL, OnnxModel, as_batch
from worker.learning.plan import Precision
from worker.learning.predictor import Predictor, as_pixels
from worker.learning.trainer import train

REAL = truth(60, seed=9)
PHOTOS = [photo(labels, 1000 + index) for index, labels in enumerate(REAL)]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    workdir = tmp_path_factory.mktemp("training")
    config = dataclasses.replace(QUICK, epochs=25, rounds=0, threads=1, precision=Precision.FP32)
    return train(marks(64, 0, 52), SPECS, backbone(), config, workdir=workdir).predictor()


@pytest.fixture(scope="module")
def exported(predictor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(predictor, folder)
    quantize(folder, PHOTOS[:20])
    return folder


@pytest.mark.parametrize("count", [1, 2, 17])
def test_logits_are_those_of_torch_in_batches_of_any_size(predictor, exported, count):
    model = OnnxModel.load(exported, threads=1)
    logits = model.logits(as_batch(PHOTOS[:count], (SIDE, SIDE)))
    assert logits.shape == (count, len(SPECS))
    assert np.abs(logits - predictor.look(PHOTOS[:count]).logits).max() <= 1e-3


def test_probabilities_are_those_of_the_predictor(predictor, exported):
    model = OnnxModel.load(exported, threads=1)
    assert model.labels == tuple(label.key for label in SPECS)
    expected = predictor.predict(PHOTOS).probabilities
    assert model.predict(PHOTOS) == pytest.approx(expected, abs=1e-3)


def test_the_card_beside_the_file_is_the_models(predictor, exported):
    assert ModelCard.read(exported / CARD) == predictor.card
    assert not list(exported.glob("*.part*"))


def test_photos_are_fitted_as_in_training():
    wide = np.random.default_rng(0).integers(0, 255, (30, 90, 3), dtype=np.uint8)
    for one in (wide, PHOTOS[0], wide[:, :, 0]):
        assert np.allclose(
            as_batch([one], (32, 40))[0], as_pixels(one, (32, 40)).numpy(), atol=1e-7
        )


def test_eight_bits_rank_photos_nearly_as_well(predictor, exported):
    model = OnnxModel.load(exported, file=EIGHT_BITS, threads=1)
    lost = mean_average_precision(
        predictor.predict(PHOTOS).probabilities, REAL
    ) - mean_average_precision(model.predict(PHOTOS), REAL)
    assert lost < 0.05
    head = 4 * sum(one.numel() for one in predictor.classifier.head.parameters())  # stays as it is
    whole, small = ((exported / file).stat().st_size for file in (MODEL, EIGHT_BITS))
    assert small - head < (whole - head) / 2


@pytest.mark.slow
def test_other_towers_are_exported_too(predictor, tmp_path):
    """A vision transformer with random weights, at its own resolution."""
    tower = untrained("ViT-S-32-alt")
    card = dataclasses.replace(predictor.card, resolution=tower.image_size)
    head = Aligner(torch.randn(len(SPECS), tower.embed_dim), card.contexts.count)
    other = Predictor(Classifier(tower, head), card)
    export_onnx(other, tmp_path)
    batch = as_batch(PHOTOS[:3], card.grid.canvas)
    logits = OnnxModel.load(tmp_path, threads=1).logits(batch)
    assert np.abs(logits - other.look(PHOTOS[:3]).logits).max() <= 1e-3


def test_what_voices_say_is_exported(predictor, tmp_path):
    heard = copy.deepcopy(predictor.classifier)
    heard.head.hear(tuple(Voice)).whole.weight.data.normal_()
    weigh(heard, np.array([0.2, 0.5, 0.3]))
    other = Predictor(heard, predictor.card)
    export_onnx(other, tmp_path)
    batch = as_batch(PHOTOS[:3], predictor.card.grid.canvas)
    logits = OnnxModel.load(tmp_path, threads=1).logits(batch)
    assert np.abs(logits - other.look(PHOTOS[:3]).logits).max() <= 1e-3
    assert np.abs(logits - predictor.look(PHOTOS[:3]).logits).max() > 0.01


def test_no_photos_no_ranges(exported):
    with pytest.raises(ValueError, match="photos"):
        quantize(exported, [])


def test_predicting_needs_no_torch(exported, tmp_path):
    Image.fromarray(PHOTOS[0]).save(tmp_path / "photo.png")
    script = (
        "import sys, pathlib, numpy, PIL.Image\n"
        "from worker.learning.onnx_model import OnnxModel\n"
        "photo = numpy.asarray(PIL.Image.open(sys.argv[2]))\n"
        "print(OnnxModel.load(pathlib.Path(sys.argv[1])).predict([photo]).shape)\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(exported), str(tmp_path / "photo.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 3)"


def test_a_terminal_prints_a_line_a_photo(exported, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTOS[0]).save(photo)
    assert onnx_model.main([str(exported), str(photo), str(photo)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert lines[0]["photo"] == str(photo)
    expected = OnnxModel.load(exported).predict([PHOTOS[0]])[0]
    assert list(lines[0]["probabilities"].values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("folder", "photo", "more"),
    [
        ("gone", "photo.png", []),
        (".", "gone.png", []),
        (".", "x.txt", []),
        (".", "photo.png", ["--file", "no"]),
    ],
)
def test_a_terminal_is_told_in_a_line_what_is_wrong(
    exported, tmp_path, capsys, folder, photo, more
):
    Image.fromarray(PHOTOS[0]).save(tmp_path / "photo.png")
    (tmp_path / "x.txt").write_text("no photo")
    assert onnx_model.main([str(exported / folder), str(tmp_path / photo), *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1
