"""Pictures: from file to float pixels and back, losing nothing that the target format can hold."""

from restore_cli.image.tiff_layout import FORMATS as FORMATS
from restore_cli.image.tiff_layout import LOSSY as LOSSY
from restore_cli.image.tiff_layout import READ_SUFFIXES as READ_SUFFIXES
from restore_cli.image.tiff_layout import Metadata as Metadata
from restore_cli.image.tiff_layout import Picture as Picture
from restore_cli.image.tiff_layout import Pixels as Pixels
from restore_cli.image.tiff_layout import compress as compress
from restore_cli.image.tiff_layout import encode_picture as encode_picture
from restore_cli.image.tiff_layout import find_damage as find_damage
from restore_cli.image.tiff_layout import format_of as format_of
from restore_cli.image.tiff_layout import is_altered as is_altered
from restore_cli.image.tiff_layout import is_image_name as is_image_name
from restore_cli.image.tiff_layout import luma as luma
from restore_cli.image.tiff_layout import read_file as read_file
from restore_cli.image.tiff_layout import read_picture as read_picture
from restore_cli.image.tiff_layout import read_size as read_size
from restore_cli.image.tiff_layout import resize as resize
from restore_cli.image.tiff_layout import suffix_of as suffix_of
from restore_cli.image.tiff_layout import to_gray as to_gray
from restore_cli.image.tiff_layout import to_pillow as to_pillow
from restore_cli.image.tiff_layout import to_rgb as to_rgb
from restore_cli.image.tiff_layout import write_encoded as write_encoded
from restore_cli.image.tiff_layout import write_picture as write_picture
