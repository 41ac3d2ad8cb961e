"""Numbers that say how good pictures are: compared with a reference, or measured from one picture alone."""

from restore_cli.metrics.noise_level import SSIM_WINDOW as SSIM_WINDOW
from restore_cli.metrics.noise_level import estimate_noise as estimate_noise
from restore_cli.metrics.noise_level import estimate_quality as estimate_quality
from restore_cli.metrics.noise_level import jpeg_steps as jpeg_steps
from restore_cli.metrics.noise_level import psnr as psnr
from restore_cli.metrics.noise_level import psnr_b as psnr_b
from restore_cli.metrics.noise_level import ssim as ssim
