"""Metrics of image quality, with or without a reference.

Metrics that need the optional library pyiqa are imported from `perceptual`.
"""

from restore_cli.metrics.fidelity import SSIM_WINDOW as SSIM_WINDOW
from restore_cli.metrics.fidelity import psnr as psnr
from restore_cli.metrics.fidelity import psnr_b as psnr_b
from restore_cli.metrics.fidelity import ssim as ssim
from restore_cli.metrics.jpeg_quality import estimate_compressions as estimate_compressions
from restore_cli.metrics.jpeg_quality import estimate_first_quality as estimate_first_quality
from restore_cli.metrics.jpeg_quality import estimate_quality as estimate_quality
from restore_cli.metrics.noise_level import estimate_noise as estimate_noise
