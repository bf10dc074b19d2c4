"""Attacks made for ViTs, against the package that they come from, or a second way to compute the same."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from nets import classifier, digits
from sat.attacks import patchfool, tgr
from sat.attacks.interface import Draws
from sat.attacks.noise import noise
from sat.attacks.settings import VITS
from sat.attacks.vits import attention_maps, cells, opened
from sat.errors import SatError
from sat.models.classifier import Blueprint, build, predict
from sat.units.attack import Attack

DRAWS = Draws(np.arange(16), 0, "m")


def vit(side=32, **options):
    """A small ViT with random weights, the same every time."""
    torch.manual_seed(0)
    blueprint = Blueprint("test_vit2", 10, side, (0.5,) * 3, (0.5,) * 3, {"img_size": side, **options})
    return build(blueprint).freeze()


@pytest.fixture(scope="module")
def scene():
    images, _ = digits(16)
    return images


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
def test_tgr_against_torchattack_image_by_image(scene):
    torchattack = pytest.importorskip("torchattack", reason="the extra 'torchattack' is not installed")
    net, images = vit(depth=12), scene[:4]
    labels = predict(net, images, 16).argmax(1)
    found = tgr.run(net, images, labels, eps=24, step=6, steps=3, momentum=1.0).perturbation.astype(int)
    copy = opened(net)
    # The package finds the blocks by name below the model.
    copy.blocks = copy.net.blocks
    attack = torchattack.TGR(
        copy, hook_cfg="vit_base_patch16_224", eps=24 / 255, alpha=6 / 255, steps=3, device=torch.device("cpu")
    )
    unit = torch.from_numpy(images).float() / 255
    label = torch.from_numpy(labels)
    theirs = torch.cat([attack(unit[[i]], label[[i]]).detach() for i in range(4)]).mul(255).round().numpy()
    assert (images + found == theirs).mean() > 0.99
    plain = tgr.run(vit(depth=12), images, labels, eps=24, step=6, steps=3, momentum=1.0).perturbation
    assert (plain == found).all(), "the net itself was given no hook"


@pytest.mark.parametrize("depth", [3, 14])
def test_tgr_rules_reach_every_block(depth):
    pytest.importorskip("torchattack", reason="the extra 'torchattack' is not installed")
    copy = opened(vit(depth=depth))
    tgr.register(copy)
    for block in copy.net.blocks:
        for part in (block.attn.qkv, block.attn.attn_drop, block.mlp):
            assert len(part._backward_hooks) == 1


def test_attention_maps_are_those_of_the_softmax(scene):
    net = vit()
    copy = opened(net)
    unit = torch.from_numpy(scene).float() / 255
    given = []
    block = copy.net.blocks[4]
    handle = block.attn.register_forward_pre_hook(lambda module, given_: given.append(given_[0]))
    with torch.no_grad(), attention_maps(copy) as maps:
        copy(unit)
        logits = copy(unit)
    handle.remove()
    n, tokens, width = given[-1].shape
    heads = block.attn.num_heads
    q, k, _ = block.attn.qkv(given[-1]).reshape(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    q, k = block.attn.q_norm(q), block.attn.k_norm(k)
    expected = (q @ k.mT / (width // heads) ** 0.5).softmax(-1)
    assert len(maps) == len(copy.net.blocks)
    torch.testing.assert_close(maps[4], expected)
    torch.testing.assert_close(logits, net(unit))


def test_patches_of_a_canvas_that_the_net_sees_larger():
    """160 px in patches of 16, on a canvas of 32 px: patches of 3.2 px."""
    torch.manual_seed(0)
    net = build(Blueprint("test_vit2", 10, 160, (0.5,) * 3, (0.5,) * 3)).freeze()
    found = cells(net, 32)
    rows = [int((pixel + 0.5) / 3.2) for pixel in range(32)]
    assert found.tolist() == [[10 * row + column for column in rows] for row in rows]
    counts = found.flatten().bincount()
    assert len(counts) == 100 and counts.min() == 9 and counts.max() == 16


@pytest.mark.parametrize("count", [1, 2])
def test_patchfool_changes_the_patches_with_the_most_attention(scene, count):
    net = vit(side=64)
    copy = opened(net)
    images = np.concatenate([np.concatenate([scene, scene[:, ::-1]], 2), np.concatenate([scene[::-1], scene], 2)], 3)
    unit = torch.from_numpy(images).float() / 255
    with torch.no_grad(), attention_maps(copy) as maps:
        copy(unit)
        prefix = copy.net.num_prefix_tokens
        best = maps[4].sum((1, 2))[:, prefix:].topk(count).indices
    labels = predict(net, images, 16).argmax(1)
    found = patchfool.run(
        net, images, labels, eps=256 * count + 100, steps=2, rate=0.05, attention=0.002, draws=DRAWS
    ).perturbation
    for change, tokens in zip(found, best, strict=True):
        inside = np.zeros((64, 64), bool)
        for token in tokens.tolist():
            top, left = token // 4 * 16, token % 4 * 16
            inside[top : top + 16, left : left + 16] = True
        changed = (change != 0).any(0)
        assert not changed[~inside].any() and changed[inside].mean() > 0.9


def test_patchfool_without_attention_is_adam_on_the_cross_entropy(scene):
    net = vit()
    labels = predict(net, scene, 16).argmax(1)
    found = patchfool.run(net, scene, labels, eps=1024, steps=12, rate=0.1, attention=0.0, draws=DRAWS)
    pixels = DRAWS.uniform("patch", scene.shape[1:]).astype(np.float64)
    first, second = np.zeros_like(pixels), np.zeros_like(pixels)
    for step in range(1, 13):
        unit = torch.tensor(pixels, dtype=torch.float32, requires_grad=True)
        loss = F.cross_entropy(net(unit), torch.from_numpy(labels), reduction="sum")
        gradient = torch.autograd.grad(loss, unit)[0].double().numpy()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        size = 0.1 * (0.95 if step > 10 else 1)
        pixels += size * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        pixels = pixels.clip(0, 1)
    difference = np.abs(scene + found.perturbation.astype(int) - 255 * pixels)
    assert np.median(difference) < 0.51 and (difference < 2).mean() > 0.99


def test_patchfool_draws_attention_to_its_patch(scene):
    net = vit()
    labels = predict(net, scene, 16).argmax(1)
    copy, got = opened(net), []
    for weight in (0.0, 1e3):
        change = patchfool.run(
            net, scene, labels, eps=256, steps=20, rate=0.1, attention=weight, draws=DRAWS
        ).perturbation
        unit = torch.from_numpy((scene + change).astype(np.float32) / 255)
        cell = torch.tensor((change != 0).any(1)).flatten(1).float() @ F.one_hot(cells(copy, 32).flatten()).float()
        token = cell.argmax(1) + copy.net.num_prefix_tokens
        with torch.no_grad(), attention_maps(copy) as maps:
            copy(unit)
            drawn = [one.mean((1, 2))[torch.arange(16), token].log() for one in maps[1 : len(maps) // 2]]
        got.append(torch.stack(drawn).sum().item())
    assert got[1] > got[0]


def test_only_what_opposes_the_main_gradient_is_taken_out():
    random = torch.Generator().manual_seed(0)
    main, other = torch.randn(8, 3, 4, 4, generator=random), torch.randn(8, 3, 4, 4, generator=random)
    found = patchfool.without_opposition(other, main)
    before, after = (other * main).sum((1, 2, 3)), (found * main).sum((1, 2, 3))
    assert (before < 0).any() and (before > 0).any()
    torch.testing.assert_close(after, before.clamp_min(0), atol=1e-5, rtol=0)
    assert (found == other)[before > 0].all()
    # What is taken out is along the main gradient.
    for gone, direction in zip((other - found)[before < 0], main[before < 0], strict=True):
        assert torch.cosine_similarity(gone.flatten(), direction.flatten(), 0) == pytest.approx(-1, abs=1e-5)


def test_a_patch_that_is_larger_than_eps_is_told(scene):
    with pytest.raises(SatError, match="eps is 255 pixels, and a patch of this net has up to 256"):
        patchfool.run(vit(), scene, np.zeros(16, int), eps=255, steps=1, rate=0.1, attention=0.0, draws=DRAWS)


@pytest.mark.parametrize(("eps", "side"), [(1, 1), (256, 16), (300, 17), (10**6, 32)])
def test_noise_of_a_patch(eps, side):
    params = {"eps": eps, "seed": 0, "norm": "patch"}
    found = noise(np.arange(12), (3, 32, 32), params)
    changed = found.any(1)
    assert set(np.unique(found)) <= {-255, 0, 255} and (np.abs(found).min(1) == np.abs(found).max(1)).all()
    for image in changed:
        rows, columns = np.nonzero(image)
        assert image.sum() == side**2 <= max(eps, 1) or side == 32
        assert np.ptp(rows) == np.ptp(columns) == side - 1, "a square"
    assert (found[3] == noise(np.array([7, 3]), (3, 32, 32), params)[1]).all()
    if side < 32:
        assert len({tuple(np.argwhere(image)[0]) for image in changed}) > 6, "at many places"


CLASSES = (timm.models.VisionTransformer, timm.models.VisionTransformerDistilled, timm.models.VisionTransformerRelPos)


ARCHITECTURES = """
    test_vit test_vit4 test_vit_relpos vit_tiny_patch16_224 deit3_small_patch16_224 deit_tiny_distilled_patch16_224
    vit_srelpos_small_patch16_224 vit_small_patch14_reg4_dinov2 flexivit_small vit_base_patch16_siglip_224
    vit_small_r26_s32_224 vit_small_resnet26d_224 vit_tiny_r_s16_p8_224 vit_small_patch16_dinov3
    vit_dwee_patch16_reg1_gap_256 vit_small_patch16_rope_224 vit_pe_core_tiny_patch16_384 vit_small_patch16_18x2_224
    vit_pwee_patch16_reg1_gap_256 vitamin_small_224 test_resnet test_maxvit convit_tiny beit_base_patch16_224
    swin_tiny_patch4_window7_224
"""


@pytest.mark.parametrize("architecture", ARCHITECTURES.split())
def test_names_of_vits(architecture):
    """A name that passes must open; what does not open must not pass."""
    with torch.device("meta"):
        net = timm.create_model(architecture)
    blocks = getattr(net, "blocks", [])
    fits = isinstance(net, CLASSES) and type(net.patch_embed).__name__ == "PatchEmbed"
    fits = fits and all(type(block).__name__ in ("Block", "RelPosBlock") for block in blocks)
    fits = fits and all(type(block.attn).__name__ in ("Attention", "RelPosAttention") for block in blocks)
    assert Attack(summary="", norm="linf", cost=1, nets=VITS).supports(f"{architecture}.tag") == fits


def test_a_net_that_is_no_vit_is_told(scene):
    with pytest.raises(SatError, match="'test_resnet' is not built as timm's VisionTransformer"):
        patchfool.run(
            classifier("test_resnet"), scene, np.zeros(16, int), eps=256, steps=1, rate=0.1, attention=0.0, draws=DRAWS
        )
