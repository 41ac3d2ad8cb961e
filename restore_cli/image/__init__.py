"""Photos: from file to float pixels and back, without losing what the target format can store.

Each format and each topic has its own file; other packages import from here.
"""

from restore_cli.image.arrays import Mask as Mask
from restore_cli.image.arrays import Pixels as Pixels
from restore_cli.image.arrays import is_gray as is_gray
from restore_cli.image.arrays import round_to_bytes as round_to_bytes
from restore_cli.image.bounds import megapixels as megapixels
from restore_cli.image.color import luma as luma
from restore_cli.image.color import to_gray as to_gray
from restore_cli.image.color import to_rgb as to_rgb
from restore_cli.image.compression import MOZJPEG as MOZJPEG
from restore_cli.image.compression import compress as compress
from restore_cli.image.compression import jpeg_steps as jpeg_steps
from restore_cli.image.compression import nearest_quality as nearest_quality
from restore_cli.image.damage import find_damage as find_damage
from restore_cli.image.formats import FORMATS as FORMATS
from restore_cli.image.formats import HOLDS as HOLDS
from restore_cli.image.formats import LOSSY as LOSSY
from restore_cli.image.formats import READ_ONLY as READ_ONLY
from restore_cli.image.formats import READ_SUFFIXES as READ_SUFFIXES
from restore_cli.image.formats import find_images as find_images
from restore_cli.image.formats import format_of as format_of
from restore_cli.image.formats import has_image_suffix as has_image_suffix
from restore_cli.image.formats import is_altered as is_altered
from restore_cli.image.formats import is_image_name as is_image_name
from restore_cli.image.formats import suffix_of as suffix_of
from restore_cli.image.formats import written_format as written_format
from restore_cli.image.frame import find_inside as find_inside
from restore_cli.image.jpeg import MARKER_BYTES as MARKER_BYTES
from restore_cli.image.pages import Pages as Pages
from restore_cli.image.pages import encode_pages as encode_pages
from restore_cli.image.pages import open_pages as open_pages
from restore_cli.image.picture import Metadata as Metadata
from restore_cli.image.picture import Picture as Picture
from restore_cli.image.pillow import to_pillow as to_pillow
from restore_cli.image.pillow_read import FIRST_FRAME as FIRST_FRAME
from restore_cli.image.pillow_read import PAGES_HINT as PAGES_HINT
from restore_cli.image.raster import sha256_of_pixels as sha256_of_pixels
from restore_cli.image.read import read_file as read_file
from restore_cli.image.read import read_picture as read_picture
from restore_cli.image.read import read_size as read_size
from restore_cli.image.resampling import resize as resize
from restore_cli.image.write import check_size as check_size
from restore_cli.image.write import encode_picture as encode_picture
from restore_cli.image.write import write_encoded as write_encoded
from restore_cli.image.write import write_picture as write_picture
from restore_cli.image.xmp import Property as Property
from restore_cli.image.xmp import append_items as append_items
from restore_cli.image.xmp import read_list as read_list
