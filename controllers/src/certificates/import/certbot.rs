//! certbot: `live/NAME/fullchain.pem` and `privkey.pem`, links into its archive.

use std::path::Path;

use super::{Harvest, folders_in};

pub(super) fn read(live: &Path, harvest: &mut Harvest) {
    for folder in folders_in(live) {
        harvest.take(&folder.join("fullchain.pem"), &folder.join("privkey.pem"));
    }
}
