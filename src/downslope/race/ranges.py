"""Where each optimizer's settings are looked for: the one table of search spaces, with the source of each range."""

from __future__ import annotations

from .dimension import Dimension, Space, momentum

ALGOPERF = "AlgoPerf's baselines (Dahl et al. 2023, arXiv:2306.07179)"

BETA1 = momentum("betas[0]", 0.5, 0.98, f"{ALGOPERF}: AdamW's 1 - beta1 from 0.02 to 0.5")
BETA2 = momentum(
    "betas[1]", 0.8, 0.9995, "Schmidt et al. 2021, arXiv:2007.01547: 0.8 to 1; AlgoPerf's winners: 0.63 to 0.999", 3
)
EPS = Dimension("eps", 1e-10, 1e-3, rank=3, source="Choi et al. 2019, arXiv:1910.05446: Adam's, its lower half")
COUPLED = Dimension("weight_decay", 1e-7, 1e-3, rank=2, source=f"{ALGOPERF}: 1e-7 to 5e-5; ResNets take 1e-4 to 5e-4")
DECOUPLED = Dimension("weight_decay", 5e-3, 1.0, rank=2, source=f"{ALGOPERF}: AdamW's")
HEAVY = momentum("momentum", 0.7, 0.995, f"{ALGOPERF}: 1 - momentum from 5e-3 to 0.3")
CONSTANT = Dimension(
    "schedule",
    scale="choices",
    rank=0,
    choices=("constant",),
    source="schedule-free rules are made for a constant rate",
)
ADAM = (BETA1, COUPLED, BETA2, EPS)

MEASURED = "measured on digits with 16 rates from 1e-5 to 300"
LIKE_ADAM = "as Adam: a step of about the rate in each coordinate"
LIKE_DESCENT = "as plain descent: its step is about the rate times the gradient"
LIKE_SIGNS = "every coordinate moves by the whole rate, as in Lion"
BY_NORM = "a step of about the rate times the parameter's norm"

FACTOR_OF = "it finds the rate by itself, and this is a factor of it; 1 is its authors'"
REPS = Dimension(
    "reps_rel",
    1e-6,
    1e-2,
    rank=2,
    source="Ivgi et al. 2023, arXiv:2302.12022: 1e-6; short runs do not get away from it",
)
PRODIGYS = Dimension("weight_decay", 1e-3, 1e-1, rank=2, source="Prodigy's package: 0, 1e-3, 1e-2, 1e-1")

FREE = frozenset({"dog", "ldog", "dadaptsgd", "dadaptadam", "prodigy"})
"""Rules that find the rate by themselves."""

# The middle of the learning rates as a power of ten, why, and the other settings.
TABLE: dict[str, tuple[float, str, Space]] = {
    "sgd": (-0.5, f"best at 0.3, {MEASURED}", (COUPLED,)),
    "qhm": (
        -0.5,
        "its step is an average of gradients, as long as plain descent's",
        (
            momentum("momentum", 0.7, 0.999, "Ma & Yarats 2019, arXiv:1810.06801: 0.999 is theirs"),
            COUPLED,
            Dimension("nu", 0.3, 1.0, "linear", 3, source="the same: 0.7 is theirs, 0 is plain descent, 1 momentum"),
        ),
    ),
    "asgd": (-0.5, "plain descent with an average beside it", (COUPLED,)),
    "momentum": (-1.5, "the velocity sums about 10 gradients, so a tenth of plain descent", (HEAVY, COUPLED)),
    "nag": (-1.5, "as momentum", (HEAVY, COUPLED)),
    "adagrad": (-1.5, f"best at 0.03, {MEASURED}", (COUPLED, EPS)),
    "rootmeansquare": (-1.5, "divides by the root mean square of all gradients so far, as Adagrad", (COUPLED, EPS)),
    "adadelta": (
        0.5,
        f"best between 1 and 10, {MEASURED}",
        (
            momentum("rho", 0.8, 0.99, "Zeiler 2012, arXiv:1212.5701, tables 1 and 2: 0.9 to 0.99"),
            COUPLED,
            Dimension("eps", 1e-8, 1e-2, rank=3, source="the same: 1e-8 to 1e-2"),
        ),
    ),
    "adam": (-2.5, f"best between 3e-3 and 3e-2, {MEASURED}", ADAM),
    "amsgrad": (-2.5, LIKE_ADAM, ADAM),
    "adamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "adamax": (-2.5, LIKE_ADAM, ADAM),
    "nadam": (
        -2.5,
        LIKE_ADAM,
        (momentum("betas[0]", 0.5, 0.996, f"{ALGOPERF}: NAdamW's 1 - beta1 down to 4e-3"), COUPLED, BETA2, EPS),
    ),
    "radam": (-2.5, LIKE_ADAM, ADAM),
    "adabelief": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            COUPLED,
            BETA2,
            Dimension("eps", 1e-16, 1e-8, rank=3, source="its paper's 1e-8 to its package's 1e-16"),
        ),
    ),
    "adan": (
        -2.5,
        LIKE_ADAM,
        (
            momentum("betas[0]", 0.9, 0.99, "Xie et al. 2022, arXiv:2208.06677: 0.98 and near it"),
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="the same: 0.02; AdamW's range"),
            momentum("betas[2]", 0.9, 0.999, "the same: 0.99", 3),
            EPS,
        ),
    ),
    "adopt": (
        -2.5,
        LIKE_ADAM,
        (BETA1, COUPLED, momentum("betas[1]", 0.9, 0.99995, "arXiv:2411.02853: 0.9999", 3), EPS),
    ),
    "ademamix": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="AdamW's, as Pagliardini et al. 2024 take it"),
            momentum("betas[2]", 0.99, 0.9999, "Pagliardini et al. 2024, arXiv:2409.03137: 0.999 to 0.9999", 3),
            EPS,
        ),
    ),
    "qhadam": (
        -2.5,
        LIKE_ADAM,
        (momentum("betas[0]", 0.8, 0.999, "Ma & Yarats 2019, arXiv:1810.06801: 0.995 is theirs"), COUPLED, BETA2, EPS),
    ),
    "yogi": (
        -2.0,
        "Zaheer et al. 2018: 1e-2, ten times their Adam",
        (BETA1, COUPLED, BETA2, Dimension("eps", 1e-8, 1e-1, rank=3, source="the same: 1e-3 is theirs")),
    ),
    "rmsprop": (
        -2.5,
        f"best at 3e-3, {MEASURED}",
        (momentum("alpha", 0.8, 0.999, "Hinton's lecture: 0.9; torch: 0.99"), COUPLED, EPS),
    ),
    "lion": (
        -3.5,
        "Chen et al. 2023, arXiv:2302.06675: 3 to 10 times below AdamW",
        (
            BETA1,
            Dimension("weight_decay", 5e-2, 10.0, rank=2, source="the same: as many times above AdamW's"),
            momentum("betas[1]", 0.9, 0.999, "the same: 0.99", 3),
        ),
    ),
    "signum": (
        -3.5,
        LIKE_SIGNS,
        (momentum("momentum", 0.5, 0.99, "Bernstein et al. 2018, arXiv:1802.04434: 0.9"), COUPLED),
    ),
    "muon": (
        -2.0,
        "Liu et al. 2025, arXiv:2502.16982: with steps as long as AdamW's it shares its rates; best at 1e-2 on digits",
        (
            HEAVY,
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="the same: 0.0125 to 0.05; torch: 0.1"),
        ),
    ),
    "schedulefreeadamw": (
        -2.5,
        "1 to 10 times AdamW's (Defazio et al. 2024, arXiv:2405.15682); 1e-3 to 5e-3 won AlgoPerf",
        (CONSTANT, momentum("betas[0]", 0.8, 0.99, "the same: 0.9, 0.95 to 0.98 for long runs"), DECOUPLED, BETA2, EPS),
    ),
    "schedulefreesgd": (
        0.5,
        "10 to 50 times plain descent's (Defazio et al. 2024, arXiv:2405.15682)",
        (CONSTANT, momentum("momentum", 0.8, 0.99, "the same: 0.9, 0.95 to 0.98 for long runs"), COUPLED),
    ),
    # Younger rules. Their own numbers where the paper searches some, else those of the rule that they change.
    "sgdw": (-1.5, "as momentum", (HEAVY, DECOUPLED)),
    "aggmo": (
        -1.5,
        "the mean of three velocities, the slowest a sum of 100 gradients; Lucas et al. 2019 search about 0.1",
        (momentum("betas[2]", 0.9, 0.999, "Lucas et al. 2019, arXiv:1804.00325: 0.99 to 0.999"), COUPLED),
    ),
    "accsgd": (
        -1.5,
        "its long step is a thousand times the rate, its short one plain descent's",
        (
            Dimension("kappa", 1e2, 1e4, rank=2, source="Kidambi et al. 2018, arXiv:1803.05591: 1e4, 1e5; code: 1e3"),
            COUPLED,
            Dimension("xi", 2.0, 10.0, rank=3, source="the same: 2.5 to 10, at most the root of the smallest kappa"),
        ),
    ),
    "pid": (-2.0, "the integral, five times momentum's velocity, is the longest part of its step", (HEAVY, COUPLED)),
    "pnm": (-0.5, "its step is an average of gradients, as long as plain descent's", (COUPLED,)),
    "rmsproptf": (
        -3.0,
        "as RMSprop, times the 10 gradients that its momentum sums",
        (HEAVY, COUPLED, momentum("alpha", 0.8, 0.999, "TensorFlow: 0.9", 3)),
    ),
    "madgrad": (
        -2.0,
        "its authors' default, which they ask to sweep: no other rule's rate compares",
        (momentum("momentum", 0.5, 0.98, "Defazio & Jelassi 2021, arXiv:2101.11075: 0.9"), COUPLED),
    ),
    "kate": (-2.0, "Choudhury et al. 2024, arXiv:2403.02648: 1e-5 to 1 for a fixed horizon", (COUPLED,)),
    "ftrl": (
        -1.0,
        "McMahan et al. 2013: within a factor of 2 of Adagrad's",
        (
            Dimension("lambda_2", 1e-7, 1e-3, rank=2, source="its weight decay; the range of others'"),
            Dimension("beta", 0.1, 10.0, rank=3, source="McMahan et al. 2013: 1"),
        ),
    ),
    "smorms3": (-2.5, "an upper bound, where Adam's is the step", (COUPLED,)),
    "nadamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "laprop": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2)),
    "adapnm": (-2.5, LIKE_ADAM, ADAM),
    "adamd": (-2.5, LIKE_ADAM, ADAM),
    "adamatan2": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2)),
    "adax": (-2.5, LIKE_ADAM, (BETA1, COUPLED)),
    "adabound": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            Dimension("final_lr", 1e-2, 1.0, rank=2, source="Luo et al. 2019, arXiv:1902.09843: 0.1, as SGD's"),
            COUPLED,
            BETA2,
        ),
    ),
    "amsbound": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2, EPS)),
    "adamod": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            COUPLED,
            momentum("gamma", 0.99, 0.9999, "Ding et al. 2019, arXiv:1910.12249: 0.999 to 0.9999", 3),
            EPS,
        ),
    ),
    "padam": (
        -1.0,
        "Chen et al. 2018, arXiv:1806.06763: 0.1, between momentum's and Adam's",
        (
            BETA1,
            Dimension("partial", 0.05, 0.45, "linear", 2, source="the same: 1/8 to 1/4, 1/2 is AMSGrad"),
            COUPLED,
            BETA2,
        ),
    ),
    "diffgrad": (-2.5, LIKE_ADAM, ADAM),
    "signsgd": (-3.5, LIKE_SIGNS, (COUPLED,)),
    "tiger": (
        -3.5,
        LIKE_SIGNS,
        (
            momentum("beta", 0.9, 0.99, "Su 2023, github.com/bojone/tiger: 0.965"),
            Dimension("weight_decay", 5e-2, 10.0, rank=2, source="Lion's, whose rates it has"),
        ),
    ),
    "grams": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "ano": (-3.0, "1e-4, its default, to 1e-3 (Kegreisz 2025, arXiv:2508.18258)", (BETA1, COUPLED, BETA2)),
    "powersign": (-0.5, LIKE_DESCENT, (COUPLED,)),
    "addsign": (-0.5, LIKE_DESCENT, (COUPLED,)),
    "lars": (
        0.5,
        f"{BY_NORM} times the trust coefficient 1e-3 and the 10 steps that momentum sums",
        (HEAVY, Dimension("weight_decay", 1e-5, 1e-2, rank=2, source="You et al. 2017, arXiv:1708.03888: 5e-4")),
    ),
    "lamb": (-2.0, f"{BY_NORM}; You et al. 2020, arXiv:1904.00962: about 1e-3 to 1e-2", (BETA1, DECOUPLED, BETA2, EPS)),
    "novograd": (
        -2.0,
        "Ginsburg et al. 2019, arXiv:1905.11286: 1e-2; its momentum sums 20 normalised gradients",
        (
            momentum("betas[0]", 0.8, 0.98, "the same: 0.95"),
            Dimension("weight_decay", 1e-4, 1e-1, rank=2, source="the same: 1e-3 to 4e-3"),
            momentum("betas[1]", 0.2, 0.999, "the same: 0.25 to 0.98", 3),
        ),
    ),
    "fromage": (-2.0, f"{BY_NORM}; Bernstein et al. 2020, arXiv:2002.03432: 1e-2", ()),
    "adamnorm": (-2.5, LIKE_ADAM, ADAM),
    "stableadamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "mars": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            DECOUPLED,
            Dimension("gamma", 5e-3, 0.1, rank=3, source="Yuan et al. 2024, arXiv:2411.10438: 0.025, of 0.005 to 0.1"),
        ),
    ),
    "adafactor": (
        -1.0,
        f"{BY_NORM}, cut at 1 over the root of the steps; best from 0.1 to 0.3 on digits; torch: 1e-2",
        (
            Dimension("weight_decay", 1e-3, 1.0, rank=2, source=f"{ALGOPERF}: Adafactor's"),
            Dimension("beta2_decay", -1.0, -0.5, "linear", 3, source="Shazeer & Stern 2018, arXiv:1804.04235: -0.8"),
        ),
    ),
    "came": (
        -2.5,
        "Luo et al. 2023, arXiv:2307.02047: as AdamW's, times 0.5 to 0.9",
        (BETA1, DECOUPLED, BETA2, momentum("betas[2]", 0.99, 0.99999, "the same: 0.9999", 3)),
    ),
    "adammini": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "sm3": (-1.0, "its package: 0.1; best there on digits", (HEAVY, COUPLED)),
    "shampoo": (
        -1.5,
        "its package: 0.1; best from 0.03 to 0.1 on digits",
        (
            HEAVY,
            DECOUPLED,
            Dimension("eps", 1e-6, 1e-2, rank=3, source="Gupta et al. 2018, arXiv:1802.09568: 1e-4"),
        ),
    ),
    "soap": (
        -2.5,
        "Vyas et al. 2024, arXiv:2409.11321: 3.16e-3; as Adam in another basis",
        (
            momentum("betas[0]", 0.8, 0.99, "the same: 0.95"),
            DECOUPLED,
            momentum("betas[1]", 0.8, 0.999, "the same: 0.95", 3),
            EPS,
        ),
    ),
    "kron": (
        -2.5,
        "its package: 3e-4 to 1e-3; best at 1e-2 on digits",
        (
            momentum("b1", 0.8, 0.99, "its package: 0.9"),
            DECOUPLED,
            Dimension("precond_lr", 1e-2, 1.0, rank=3, source="its package: 0.1"),
        ),
    ),
    "dog": (0.0, FACTOR_OF, (COUPLED, REPS)),
    "ldog": (0.0, FACTOR_OF, (COUPLED, REPS)),
    "dadaptsgd": (0.0, FACTOR_OF, (momentum("momentum", 0.5, 0.99, "as others' momentum; its default is 0"), COUPLED)),
    "dadaptadam": (0.0, FACTOR_OF, (BETA1, PRODIGYS, BETA2)),
    "prodigy": (
        0.0,
        FACTOR_OF,
        (
            BETA1,
            PRODIGYS,
            Dimension("d_coef", 0.3, 3.0, rank=3, source="its package: 0.5 to 2; more or less of the rate found"),
            BETA2,
        ),
    ),
    "rprop": (-2.5, "only the first step; a rule for whole batches", ()),
}
