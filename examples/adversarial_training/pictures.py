"""Write handwritten digits as a folder of pictures: two thirds in pictures/train, the others in pictures/test."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
for number, (levels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
    folder = Path("pictures", "train" if number % 3 else "test", str(label))
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.rint(levels * 255 / 16).astype(np.uint8))
    picture.resize((32, 32), Image.Resampling.BICUBIC).convert("RGB").save(folder / f"{number}.png")
