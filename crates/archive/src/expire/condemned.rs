//! `condemned`: what is not needed any more, by its path below the tenant's
//! folder, and since when that is known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{PutError, RecordError};
use crate::repository::TenantArchive;

#[derive(Default, Serialize, Deserialize)]
struct Condemned {
    objects: BTreeMap<String, Timestamp>,
}

impl TenantArchive {
    pub(crate) fn read_condemned(&self) -> Result<BTreeMap<String, Timestamp>, RecordError> {
        let path = self.folder().join("condemned");
        Ok(self.read_record::<Condemned>(&path)?.unwrap_or_default().objects)
    }

    pub(super) fn write_condemned(&self, objects: &BTreeMap<String, Timestamp>) -> Result<(), PutError> {
        let condemned = Condemned { objects: objects.clone() };
        self.replace_record(&self.folder().join("condemned"), &condemned)?;
        daemon::fault::point("archive.expire.condemned");
        Ok(())
    }
}
