use std::sync::Mutex;
use std::time::{Duration, Instant};

use archive::Verification;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Place;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, bytes};

/// Between two lines of progress where none can be drawn.
const PAUSE: Duration = Duration::from_secs(10);

/// Check everything that the repository holds
///
/// Every record, every WAL object and the records in it, every chain, every
/// backup and each file in it, every attachment, and whether each snapshot can
/// be restored to. Reads the repository alone and changes nothing, also beside
/// a running worker. Ends with 9 if there are findings; each is a line with
/// what, where, and what to do.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle archive verify\n  \
        heddle archive verify --repository /mnt/copy --tenant acme --json")]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Only this tenant, by its id or its database's name
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let repository = self.place.open(context).await?;
        let tenant = match &self.tenant {
            Some(tenant) => Some(super::find(&repository, tenant).await?),
            None => None,
        };
        let progress = Progress::new(context.output);
        let checked = repository.clone();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = checked.verify(tenant, &|done, of| progress.tell(done, of));
            progress.end();
            verified
        });
        let verified =
            verified.await.map_err(|error| Failure::while_trying("check the repository", &error))?;
        let verified = verified.map_err(|error| super::reading(repository.location(), &error))?;
        context.output.result(&verified, text)?;
        match verified.flaws.len() as u64 + verified.more_flaws {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Findings,
                "findings",
                format!("the repository has {}", counted(count)),
            )
            .hint("each finding says what to do; check again afterwards")),
        }
    }
}

fn counted(findings: u64) -> String {
    format!("{findings} finding{}", if findings == 1 { "" } else { "s" })
}

fn text(verified: &Verification) -> String {
    let mut text: String = verified.flaws.iter().map(|flaw| format!("{flaw}\n")).collect();
    if verified.more_flaws > 0 {
        text += &format!("and {} more\n", verified.more_flaws);
    }
    text += &format!(
        "Checked {}: tenants {}, lineages {}, WAL files {}, backups {} with {} files, snapshots {}, attachments {}.\n",
        bytes(verified.bytes),
        verified.tenants,
        verified.lineages,
        verified.wal,
        verified.backups,
        verified.backup_files,
        verified.snapshots,
        verified.files,
    );
    if verified.shredded > 0 {
        text += &format!("Tenants whose keys were destroyed: {}.\n", verified.shredded);
    }
    text += &match verified.flaws.len() as u64 + verified.more_flaws {
        0 => "Everything is sound.\n".to_owned(),
        count => format!("{}.\n", counted(count)),
    };
    text
}

/// Bytes read, on standard error.
pub struct Progress {
    output: Output,
    bar: ProgressBar,
    told: Mutex<Instant>,
}

impl Progress {
    pub fn new(output: Output) -> Self {
        let bar = if output.draws() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { output, bar, told: Mutex::new(Instant::now()) }
    }

    pub fn tell(&self, done: u64, of: u64) {
        if self.output.draws() {
            self.bar.set_length(of);
            // From several threads: the last to tell need not know of the most.
            self.bar.set_position(done.max(self.bar.position()));
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.elapsed() >= PAUSE || done == of {
            *told = Instant::now();
            self.output.note(format!("{} of {}", bytes(done), bytes(of)));
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use archive::{Flaw, FlawKind};

    use super::*;

    #[test]
    fn findings_read_well() {
        let sound = Verification { tenants: 1, bytes: 5 << 20, ..Verification::default() };
        assert!(text(&sound).starts_with("Checked 5.0 MiB: tenants 1,"), "{}", text(&sound));
        assert!(text(&sound).ends_with("Everything is sound.\n"));
        let path = "tenants/a/snapshots/x".into();
        let flaw = Flaw { kind: FlawKind::Unknown, path, what: "is not part of a repository".into() };
        let text = text(&Verification { flaws: vec![flaw], ..sound });
        assert!(
            text.starts_with("unknown: tenants/a/snapshots/x: is not part of a repository; move it"),
            "{text}"
        );
        assert!(text.ends_with("\n1 finding.\n"), "{text}");
    }
}
