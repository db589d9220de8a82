"""How near a restored movie is to the truth, and how much it flickers. The data range is always said."""

from pssr.metrics.reference import psnr, ssim
from pssr.metrics.texture import band_energy
from pssr.metrics.time import flicker

__all__ = ["band_energy", "flicker", "psnr", "ssim"]
