"""Initialisation: what each scheme draws, what it does to activations in depth, and what it leaves alone."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from downslope import SettingError
from downslope.layers import Maxout, MaxoutConv2d
from downslope.training.gains import gains
from downslope.training.initialise import SCHEMES, initialise

every_scheme = pytest.mark.parametrize("scheme", SCHEMES)
R2 = math.sqrt(2)

# A layer of every kind between two that end it, a sample for it, and what each of its matrices is:
# parameter -> (the matrices of a weight, as (rows, fan in); fan_out)
LAYERS = {
    "linear": (lambda: nn.Linear(80, 60), {"weight": (lambda w: [w], 60)}),
    "conv": (lambda: nn.Conv2d(16, 40, 3), {"weight": (lambda w: [w.flatten(1)], 40 * 9)}),
    "conv-groups": (lambda: nn.Conv1d(64, 64, 5, groups=2), {"weight": (lambda w: [*w.flatten(1).chunk(2)], 32 * 5)}),
    "transposed": (
        lambda: nn.ConvTranspose2d(40, 16, 3),
        {"weight": (lambda w: [w.transpose(0, 1).flatten(1)], 16 * 9)},
    ),
    "transposed-groups": (
        lambda: nn.ConvTranspose1d(64, 32, 3, groups=2),
        {"weight": (lambda w: [c.transpose(0, 1).flatten(1) for c in w.chunk(2)], 16 * 3)},
    ),
    "bilinear": (lambda: nn.Bilinear(9, 8, 40), {"weight": (lambda w: [w.flatten(1)], 40)}),
    "maxout": (lambda: Maxout(80, 60, 3), {"affine.weight": (lambda w: [*w.chunk(3)], 60)}),
    "maxout-conv": (lambda: MaxoutConv2d(16, 40, 3, 3), {"affine.weight": (lambda w: [*w.flatten(1).chunk(3)], 360)}),
    "lstm": (
        lambda: nn.LSTM(50, 64, num_layers=2, bidirectional=True, proj_size=40),
        {
            f"weight_{part}_l{layer}{way}": (lambda w, n=n: [*w.chunk(n)], rows)
            for part, n, rows in (("ih", 4, 64), ("hh", 4, 64), ("hr", 1, 40))
            for layer in (0, 1)
            for way in ("", "_reverse")
        },
    ),
    "gru-cell": (lambda: nn.GRUCell(50, 64), {f"weight_{p}": (lambda w: [*w.chunk(3)], 64) for p in ("ih", "hh")}),
    "rnn": (lambda: nn.RNN(50, 64), {f"weight_{p}_l0": (lambda w: [w], 64) for p in ("ih", "hh")}),
    "attention": (
        lambda: nn.MultiheadAttention(64, 4),
        {"in_proj_weight": (lambda w: [*w.chunk(3)], 64), "out_proj.weight": (lambda w: [w], 64)},
    ),
    "attention-cross": (
        lambda: nn.MultiheadAttention(64, 4, kdim=48, vdim=80),
        {f"{n}_weight": (lambda w: [w], 64) for n in ("q_proj", "k_proj", "v_proj")},
    ),
}
MAXOUT_GAIN = 1 / math.sqrt(1 + math.sqrt(3) / (2 * math.pi))  # E m² of the largest of three


def deviation(scheme: str, fan_in: int, fan_out: int, gain: float) -> float:
    if "normal" in scheme and scheme.split("-")[0] in ("small", "unit"):
        return {"small": 0.01, "unit": 1.0}[scheme.split("-")[0]]
    return gain * (1 / math.sqrt(fan_in) if scheme.startswith("he") else math.sqrt(2 / (fan_in + fan_out)))


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "lsuv"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_matrix_is_drawn_as_the_scheme_says(layer: str, scheme: str) -> None:
    make, expected = LAYERS[layer]
    torch.manual_seed(0)
    model = make()
    initialise(model, scheme, seed=1)
    known = layer.startswith(("lstm", "gru", "rnn", "attention"))
    gain = MAXOUT_GAIN if "maxout" in layer else R2 if scheme.startswith("he") and not known else 1.0
    for name, (split, fan_out) in expected.items():
        for matrix in split(model.get_parameter(name).detach()):
            rows, fan_in = matrix.shape
            if scheme == "orthogonal":
                small = matrix if rows <= fan_in else matrix.T
                torch.testing.assert_close(small @ small.T, gain**2 * torch.eye(len(small)), atol=1e-5, rtol=0)
                continue
            std, n = deviation(scheme, fan_in, fan_out, gain), matrix.numel()
            assert abs(matrix.mean()) < 5 * std / math.sqrt(n)
            assert matrix.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
            edge = matrix.abs().max() / std
            uniform = scheme.endswith("uniform") or scheme == "xavier"
            assert (1.6 < edge < math.sqrt(3) * 1.001) if uniform else edge > 2.3
    for name, p in model.named_parameters():
        if "bias" in name and name not in ("bias_k", "bias_v"):
            assert not p.any(), name


def test_every_orthogonal_matrix_is_as_likely() -> None:
    signs = []
    for seed in range(20):
        model = nn.Sequential(nn.Linear(1, 1))
        initialise(model, "orthogonal", seed=seed)
        signs.append(round(model[0].weight.item()))
    assert set(signs) == {-1, 1}


class Net(nn.Module):
    """Everything is followed by something in its forward pass; leaves a mark on itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.b, self.c, self.d, self.e, self.f = nn.Linear(18, 4), *(nn.Linear(4, 4) for _ in range(4))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept = x
        self.calls += torch.rand(()) + 1
        x = F.max_pool2d(F.relu(self.norm(self.conv(x)), inplace=True), 2)
        x = self.b(x.view(x.size(0), -1)).tanh()
        x = F.leaky_relu(self.c(x) + x, 0.2)
        return self.f(torch.sigmoid(self.d(x)) * F.dropout(F.selu(self.e(x)), training=self.training))


class Branching(nn.Module):
    """What fx cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Dropout(), nn.Tanh(), nn.Linear(3, 3)), nn.GELU())
        self.out = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.chain(x)) if x.sum() > 0 else x


def test_the_gain_is_that_of_the_activation_that_follows() -> None:
    net = Net()
    before = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    found = gains(net)
    expected = {"conv": R2, "b": 5 / 3, "c": math.sqrt(2 / 1.04), "d": 1.0, "e": 0.75, "f": 1.0}
    assert {name: found[getattr(net, name)] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert not hasattr(net, "kept") and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


def test_where_nothing_can_be_followed_sequentials_are_read() -> None:
    net = Branching()
    found = gains(net)
    z = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert F.gelu(found[net.chain[1][2]] * z).square().mean().item() == pytest.approx(1, rel=0.01)
    assert found[net.chain[0]] == 5 / 3 and net.out not in found
    chain = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), Branching(), nn.Linear(3, 3))
    found = gains(chain)
    assert [found[chain[i]] for i in (0, 2, 4)] == [R2, 1.0, 1.0]


@pytest.mark.parametrize(("scheme", "gain"), [("he", R2), ("he-uniform", R2), ("xavier", 1.0), ("orthogonal", 1.0)])
def test_an_unknown_follower_takes_the_schemes_own_gain(scheme: str, gain: float) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(100, 100)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) if x.any() else x

    net = Hidden()
    initialise(net, scheme, seed=0)
    assert net.inner.weight.std().item() == pytest.approx(gain / 10, rel=0.05)


def test_gains_agree_with_torch() -> None:
    for module, name, param in (
        (nn.ReLU(), "relu", None), (nn.Tanh(), "tanh", None), (nn.Sigmoid(), "sigmoid", None),
        (nn.SELU(), "selu", None), (nn.LeakyReLU(0.3), "leaky_relu", 0.3), (nn.PReLU(init=0.3), "leaky_relu", 0.3),
    ):  # fmt: skip
        model = nn.Sequential(nn.Linear(2, 2), module)
        assert gains(model)[model[0]] == pytest.approx(nn.init.calculate_gain(name, param), rel=1e-6)


ACTIVATIONS = {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.3), "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU}


def moments(model: nn.Module, x: torch.Tensor, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[float]:
    """The second moment of the outputs of every layer of a kind, in order."""
    seen: list[float] = []
    hooks = [
        m.register_forward_hook(lambda m, i, o: seen.append(o.square().mean().item()))
        for m in model.modules()
        if isinstance(m, kind)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("scheme", ["xavier", "xavier-normal", "he", "he-uniform", "orthogonal"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_keep_their_size_in_depth(activation: str, scheme: str) -> None:
    made = ACTIVATIONS[activation]
    model = nn.Sequential(*(m for _ in range(8) for m in (nn.Linear(256, 256), made())))
    initialise(model, scheme, seed=3)
    x = torch.randn(200, 256, generator=torch.Generator().manual_seed(0))
    sizes = moments(model, x, type(made()))
    assert all(0.25 < size < 4 for size in sizes), sizes  # without the gain of ReLU the last is 0.004


def test_maxout_keeps_its_size_in_depth() -> None:
    model = nn.Sequential(*(Maxout(256, 256, 3) for _ in range(10)))
    initialise(model, "he", seed=3)
    sizes = moments(model, torch.randn(200, 256, generator=torch.Generator().manual_seed(0)), Maxout)
    assert all(0.4 < size < 2.5 for size in sizes), sizes


def test_plain_normal_numbers_vanish_and_explode() -> None:
    x = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(*(m for _ in range(6) for m in (nn.Linear(100, 100), nn.ReLU())))
    for scheme, factor in (("small-normal", 0.5 * 100 * 1e-4), ("unit-normal", 0.5 * 100)):
        initialise(model, scheme, seed=0)
        sizes = moments(model, x, nn.ReLU)
        assert 0.2 < sizes[-1] / factor**6 < 5


# ---- LSUV

DEEP = {
    "relu": lambda: [m for _ in range(8) for m in (nn.Linear(32, 32), nn.ReLU())],
    "norm": lambda: [m for _ in range(5) for m in (nn.Linear(32, 32), nn.BatchNorm1d(32), nn.Dropout(), nn.Tanh())],
    "conv": lambda: [
        nn.Unflatten(1, (2, 4, 4)), nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, 2),
        nn.ELU(), MaxoutConv2d(4, 4, 3), nn.Flatten(), nn.Linear(144, 32), nn.Sigmoid(), Maxout(32, 3, 4),
    ],
    "weight-norm": lambda: [m for _ in range(4) for m in (parametrizations.weight_norm(nn.Linear(32, 32)), nn.ReLU())],
}  # fmt: skip
LAYER = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@pytest.mark.parametrize("net", DEEP)
def test_lsuv_gives_every_layer_unit_variance(net: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*DEEP[net]())
    model[1].eval()  # modes come back one by one
    modes = [m.training for m in model.modules()]
    sample = 3 * torch.randn(64, 32) + 1
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    initialise(model, "lsuv", sample, seed=0)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    assert not any(m._forward_hooks for m in model.modules())
    variances: list[float] = []
    for m in model.modules():
        if isinstance(m, LAYER):
            m.register_forward_hook(lambda m, i, o: variances.append(o.var().item()))
    model.eval()(sample)
    assert len(variances) == sum(isinstance(m, LAYER) for m in model.modules())
    assert variances == pytest.approx([1] * len(variances), abs=0.01)


def test_lsuv_only_scales_an_orthogonal_matrix() -> None:
    model = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 32))
    initialise(model, "lsuv", 5 * torch.randn(64, 32, generator=torch.Generator().manual_seed(0)), seed=0)
    for layer in (model[0].weight, model[2].weight.T):
        square = layer @ layer.T
        torch.testing.assert_close(square / square[0, 0], torch.eye(16), atol=1e-5, rtol=0)


def test_lsuv_scales_a_shared_layer_at_its_first_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.first = self.layer(x)
            return self.layer(3 * self.first)

    model, sample = Twice(), 4 * torch.randn(64, 8)
    initialise(model, "lsuv", sample, seed=0)
    model(sample)
    assert model.first.var().item() == pytest.approx(1, abs=0.01)


def test_lsuv_reaches_the_layers_of_a_transformer() -> None:
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    sample = torch.randn(5, 7, 16)
    initialise(model, "lsuv", sample, seed=0)
    seen: list[float] = []
    for layer in (model.linear1, model.linear2):
        layer.register_forward_hook(lambda m, i, o: seen.append(o.var().item()))
    model.eval()(sample)
    assert seen == pytest.approx([1, 1], abs=0.01)
    for part in model.self_attn.in_proj_weight.detach().chunk(3):
        torch.testing.assert_close(part @ part.T, torch.eye(16), atol=1e-5, rtol=0)


def test_lsuv_needs_a_sample_over_which_outputs_vary() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(SettingError, match="lsuv needs sample="):
        initialise(model, "lsuv")
    for sample, variance in ((torch.zeros(5, 4), "0"), (torch.full((5, 4), math.nan), "nan")):
        model.train()
        with pytest.raises(SettingError, match=f"outputs of 0 have variance {variance} over the sample"):
            initialise(model, "lsuv", sample)
        assert model.training and not any(m._forward_hooks for m in model.modules())


# ---- what holds for all schemes

SAMPLE = torch.linspace(-1, 1, 60).view(6, 10)


def mixed() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 10), nn.LayerNorm(10), nn.ReLU(), Maxout(10, 8), nn.Dropout(), nn.Linear(8, 3))


@every_scheme
def test_a_seed_decides_and_leaves_the_random_state(scheme: str) -> None:
    models = [mixed() for _ in range(3)]
    state = torch.get_rng_state()
    for model, seed in zip(models, (7, 7, 8)):
        initialise(model, scheme, SAMPLE, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    same, other = (
        [torch.equal(p, q) for p, q in zip(models[0].parameters(), m.parameters()) if p.ndim > 1] for m in models[1:]
    )
    assert all(same) and not any(other)


@every_scheme
def test_without_a_seed_torchs_random_state_decides(scheme: str) -> None:
    models = [mixed() for _ in range(3)]
    for model, seed in zip(models, (7, 7, None)):
        if seed is not None:
            torch.manual_seed(seed)
        initialise(model, scheme, SAMPLE)
    assert all(torch.equal(p, q) for p, q in zip(models[0].parameters(), models[1].parameters()))
    assert not torch.equal(models[0][0].weight, models[2][0].weight)


@every_scheme
def test_norms_embeddings_and_bare_parameters_stay(scheme: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(9, 6), nn.Linear(6, 9)
            self.norms = nn.ModuleList(
                [
                    nn.LayerNorm(6),
                    nn.BatchNorm1d(6),
                    nn.GroupNorm(2, 6),
                    nn.RMSNorm(6),
                    nn.InstanceNorm1d(6, affine=True),
                ]
            )
            self.bare, self.plain = nn.Parameter(torch.randn(6)), nn.Linear(6, 6)
            self.head.weight = self.table.weight
            self.again = nn.Linear(6, 6)
            self.again.weight = self.plain.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.again(self.plain(self.table(x)) + self.bare))

    model = Model()
    with torch.no_grad():
        for norm in model.norms:
            norm.weight.normal_()
    before = copy.deepcopy(model.state_dict())
    objects = {name: id(p) for name, p in model.named_parameters()}
    initialise(model, scheme, torch.arange(9), seed=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"plain.weight", "plain.bias", "again.weight"}
    assert {name: id(p) for name, p in model.named_parameters()} == objects


@every_scheme
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_every_dtype(scheme: str, dtype: torch.dtype) -> None:
    model, reference = mixed().to(dtype), mixed()
    for m in (model, reference):
        initialise(m, scheme, SAMPLE.to(next(m.parameters()).dtype), seed=1)
        assert all(p.requires_grad and p.grad_fn is None for p in m.parameters())
    torch.testing.assert_close(model[0].weight.float(), reference[0].weight, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("scheme", ["xavier", "he", "orthogonal"])
def test_a_parametrized_weight_is_set_through_its_parametrization(scheme: str) -> None:
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    normed = nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU())
    for model in (plain, normed):
        initialise(model, scheme, seed=4)
    assert parametrize.is_parametrized(normed[0], "weight")
    torch.testing.assert_close(normed[0].weight, plain[0].weight)


@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.weight_norm.*:FutureWarning")
def test_weights_that_cannot_be_set_are_refused() -> None:
    with pytest.raises(SettingError, match=r"0\.weight is computed from other parameters .*parametrizations"):
        initialise(nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 2))), "he")
    with pytest.raises(SettingError, match=r"0\.weight has no shape yet; run the model"):
        initialise(nn.Sequential(nn.LazyLinear(2)), "he")


@pytest.mark.parametrize(
    ("scheme", "hint"),
    [("xaver", "did you mean xavier"), ("kaiming", "known are: he, "), ("He", "did you mean he"), (None, "known are")],
)
def test_an_unknown_scheme_is_answered_with_the_nearest(scheme, hint: str) -> None:
    with pytest.raises(SettingError, match=rf"initialise: unknown scheme {scheme!r}; {hint}"):
        initialise(nn.Linear(2, 2), scheme)


def test_nothing_is_returned_and_an_empty_model_is_fine() -> None:
    assert initialise(nn.Sequential(), "he") is None
    assert initialise(nn.Linear(2, 2), "he") is None
