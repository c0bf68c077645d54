//! Running one of PostgreSQL's own programs to its end.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use model::program::Identity;

use crate::Binaries;

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("start {tool}")]
    Start { tool: String, source: io::Error },
    #[error("talk to {tool}")]
    Talk { tool: String, source: io::Error },
    /// `output` is the end of what it wrote.
    #[error("{tool} ended with {status}: {output}")]
    Failed { tool: String, status: String, output: String },
}

/// What a program wrote, and how it ended.
pub(crate) struct Written {
    pub status: std::process::ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

pub(crate) struct Tool {
    command: Command,
    name: String,
}

impl Tool {
    /// A program that gets nothing of this process's environment, and speaks
    /// English so that its output can be read.
    pub fn new(program: &Path, identity: Option<Identity>) -> Self {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", SEARCH_PATH).current_dir("/");
        if let Some(Identity { uid, gid }) = identity {
            // As root, this drops the supplementary groups as well.
            command.uid(uid).gid(gid);
        }
        Self { command, name }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end, whatever that is, with `input` on its standard input.
    pub fn run(mut self, input: &[u8]) -> Result<Written, ToolError> {
        let tool = self.name;
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ToolError::Start { tool: tool.clone(), source })?;
        let stdin = child.stdin.take();
        // Written from a thread of its own: a child that fills its output
        // before it has read all of its input would otherwise wait for ever.
        let (sent, output) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input)));
            let output = child.wait_with_output();
            (writer.join(), output)
        });
        let output = output.map_err(|source| ToolError::Talk { tool: tool.clone(), source })?;
        match sent {
            // It ended early; its output tells why.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Ok(Err(source)) => return Err(ToolError::Talk { tool, source }),
            Ok(Ok(())) => {}
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(Written {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it and demands that it ends well; what it wrote to standard output.
    pub fn succeed(self) -> Result<String, ToolError> {
        let tool = self.name.clone();
        let written = self.run(b"")?;
        if !written.status.success() {
            let said = if written.stderr.trim().is_empty() { &written.stdout } else { &written.stderr };
            return Err(ToolError::Failed {
                tool,
                status: written.status.to_string(),
                output: last_lines(said, 6),
            });
        }
        Ok(written.stdout)
    }
}

/// Runs one of PostgreSQL's client programs (`pg_dump`, `pg_restore`) as this
/// process's own user. Where the database is, and its password, stand in
/// `environment`: command lines are seen by others. What it wrote.
pub fn client_program(
    bin: &Binaries,
    name: &str,
    arguments: &[String],
    environment: &BTreeMap<&'static str, String>,
) -> Result<String, ToolError> {
    let mut tool = Tool::new(&bin.program(name), None);
    for argument in arguments {
        tool = tool.arg(argument);
    }
    for (name, value) in environment {
        tool = tool.env(name, value);
    }
    tool.succeed()
}

/// Where a cluster's shell commands look for programs.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}
