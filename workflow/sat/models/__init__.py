"""Image classifiers: building, training, wrapping, and predicting with them."""

from sat.models.without_compiler import import_timm

# Before any module of this folder imports timm by itself.
import_timm()
