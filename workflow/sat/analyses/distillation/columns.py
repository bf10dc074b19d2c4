"""What the tables of this analysis hold."""

from sat.store.columns import Table, common, interval

COLUMNS = {
    "distillation": Table(
        "One row for each teacher, the largest gain first.",
        {
            "teacher": "name of the teacher",
            **common("family"),
            "base_architecture": "its base architecture; only where the model table names one",
            "relation": "whether it has the student's base architecture (or family): `same`, `other` or `unknown`",
            "teacher_accuracy": "its accuracy on the evaluation images, a share",
            "low_whitebox": "whether its white-box success is below the study's `min_whitebox`",
            "sat": "SAT of the teacher and the study's own student",
            "affinity": "affinity of the teacher and the study's own student",
            "accuracy": "mean accuracy of the students with this teacher, a share",
            "accuracy_alone": "mean accuracy of the students without a teacher, a share",
            "gain": "accuracy - accuracy_alone",
            "gain_low": "lower end of its interval (Student's t over seeds)",
            "gain_high": "upper end of its interval (Student's t over seeds)",
            "n_seeds": "number of trainings",
            "ties_with_best": "whether the interval overlaps that of the first row",
        },
    ),
    "distillation_relation": Table(
        "One row for each similarity and group of teachers.",
        {
            **common("of"),
            "group": "`all` teachers, or those of the `same` or of `other` base architectures",
            "by": "what `same` means: base architecture or family",
            "n_teachers": "number of teachers",
            "spearman": "rank correlation of gain and similarity",
            **interval("spearman", "bootstrap over teachers and seeds"),
            "p": "its p-value, two-sided, from exchanging the similarity of teachers",
            "pearson": "correlation of gain and similarity",
            **interval("pearson", "bootstrap over teachers and seeds"),
            "partial_spearman": "spearman without the teachers' accuracy",
            "partial_p": "its p-value",
        },
    ),
}
