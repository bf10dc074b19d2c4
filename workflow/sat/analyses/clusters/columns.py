"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "clusters": Table(
        "One row for each model.",
        {
            "model": "name of the model",
            "cluster": "number of its cluster by SAT; 1 is the largest",
            "cluster_affinity": "number of its cluster by affinity; empty where it has none",
        },
    ),
    "spectral_features": Table(
        "One row for each model.",
        {**common("model"), "feature_{}": "its coordinates among the first k eigenvectors, which k-means clusters"},
    ),
    "tsne": Table("One row for each model.", {**common("model"), "x": "place in the t-SNE picture", "y": "the same"}),
    "choose_k": Table(
        "One row for each number of clusters, for SAT and for affinity.",
        {
            **common("of"),
            "k": "number of clusters",
            "eigengap": "k-th eigenvalue of the normalised weights minus the next one",
            "largest_gap": "whether it is the largest eigengap",
            "silhouette": "how much nearer a model is to its own cluster than to the next one, mean over "
            "models, -1 to 1",
            "inertia": "sum of squared distances to the clusters' centres, of the best start",
            "best_starts": "share of starts whose inertia is within 0.1 % of the best",
            "start_agreement": "mean adjusted Rand index between starts; 1 where all find the same clusters",
            "smallest": "number of models in the smallest cluster",
        },
    ),
    "membership": Table(
        "One row for each model, for SAT and for affinity. A replicate is another random start of k-means.",
        {
            **common("of", "model", "cluster"),
            "n_mates": "number of other models in its cluster",
            "n_replicates": "number of replicates in which the model could be clustered",
            "mates": "mean share of its cluster mates that are in its cluster again; 1 is stable",
            "overlap": "mean share that both clusters have in common; it also falls when other models join",
        },
    ),
    "clusters_agreement": Table(
        "One row for each pair of clusterings.",
        {
            "first": "`sat`, `affinity`, SAT with another unit inside its logarithm, or `family`",
            "second": "the same",
            **common("n_models"),
            "adjusted_rand": "adjusted Rand index: 1 is the same clustering, about 0 is chance",
        },
    ),
}
