"""Prediction of many rows by the paper's student, beside its random forest and the bare network.

1,000,000 rows of 31 x 2 values (50,000 in short), 7 classes; a forest of 500 trees, as in the
paper; and the network called on the same batches, without checks or scaling.
"""

from functools import partial

import measuring
import numpy as np
import torch
from measuring import Ratio
from sklearn.ensemble import RandomForestClassifier

from sklearn_gkd import GKDClassifier
from sklearn_gkd.datasets import make_sits
from sklearn_gkd.networks import MLP, SeriesNet


def bare(network, rows: torch.Tensor) -> torch.Tensor:
    """Call the network, batch by batch."""
    batches = rows.split(measuring.prediction_batch(network))
    with torch.inference_mode():
        return torch.cat([network(batch)[0].argmax(1) for batch in batches])


def main() -> None:
    """Measure, print, and save or compare."""
    args = measuring.add_device(measuring.parser(__doc__)).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    n_rows = 50_000 if args.short else 1_000_000
    train = make_sits(1000, random_state=0)
    X = np.tile(train.X_s1, (n_rows // 1000, 1, 1))
    net = SeriesNet("mlp", max_epochs=1)
    clf = GKDClassifier(net, net, device=args.device, random_state=0)
    clf.fit(train.X_s1, train.y, X_priv=train.X_s2)
    forest = RandomForestClassifier(500, n_jobs=torch.get_num_threads(), random_state=0)
    forest.fit(train.X_s1.reshape(1000, -1), train.y)
    network = MLP([X.shape[1:]], 7).eval().to(args.device)
    clf.predict(X[:1000])
    memory = measuring.memory_added(partial(clf.predict, X))
    functions = {
        "predict": partial(clf.predict, X),
        "bare network": partial(bare, network, torch.tensor(X, device=args.device)),
    }
    seconds = measuring.in_turns(functions, 5)
    seconds |= measuring.in_turns({"forest": partial(forest.predict, X.reshape(n_rows, -1))}, 1)
    work = 2 * n_rows * sum(p.numel() for p in network.parameters() if p.ndim == 2)
    rate = measuring.matrix_rate(args.device)
    for name, value in seconds.items():
        print(f"{name:14s} {n_rows / value:12.0f} rows/s")
    print(
        f"memory above the input {memory / 2**20:.0f} MB, matrix products {rate / 1e9:.0f} GFLOP/s"
    )
    ratios = [
        Ratio("predict: share of the matrix-product rate", work / seconds["predict"] / rate, 0.75),
        Ratio("predict: bare network / ours", seconds["bare network"] / seconds["predict"]),
        Ratio("predict: random forest / ours", seconds["forest"] / seconds["predict"]),
        Ratio(
            "predict: 500 MB / memory above the input",
            measuring.under_limit(500 * 2**20, memory),
            1.0,
        ),
    ]
    measuring.report("predict", ratios, args)


if __name__ == "__main__":
    main()
