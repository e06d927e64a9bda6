//! Caddy: `certificates/CA/NAME/NAME.crt` and `NAME.key`; a wildcard's name is written `wildcard_.example.com`.

use std::path::Path;

use super::{Harvest, folders_in};

pub(super) fn read(certificates: &Path, harvest: &mut Harvest) {
    for folder in folders_in(certificates).iter().flat_map(|ca| folders_in(ca)) {
        let Some(name) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        harvest.take(&folder.join(format!("{name}.crt")), &folder.join(format!("{name}.key")));
    }
}
