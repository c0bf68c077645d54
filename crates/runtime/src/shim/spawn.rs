//! Starts the program itself, as somebody with nothing but what its spec gives.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use model::program::ProgramSpec;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Uid, getpid, getppid, set_parent_process_death_signal, setsid, umask};

use crate::leftovers::signal;
use crate::proctable::MARK;

/// The started process and the end of the pipe its output arrives at.
pub struct Spawned {
    pub pid: Pid,
    pub output: OwnedFd,
}

/// Returns once the program has been executed, or why it could not be.
pub fn spawn(spec: &ProgramSpec, folder: &Path) -> io::Result<Spawned> {
    let [program, args @ ..] = spec.argv.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the specification names no program"));
    };
    if !Path::new(program).is_absolute() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the program's path {program:?} is not absolute"),
        ));
    }
    let (output, input) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&output, rustix::fs::OFlags::NONBLOCK)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(&spec.env)
        .env(MARK, folder)
        .current_dir(&spec.dir)
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input);
    if let Some(identity) = spec.identity {
        // So that it can open /dev/stdout and /dev/stderr.
        rustix::fs::fchown(&output, Some(Uid::from_raw(identity.uid)), Some(Gid::from_raw(identity.gid)))?;
        // The standard library gives up all supplementary groups along with the user.
        command.gid(identity.gid).uid(identity.uid);
    }
    let shim = getpid();
    let death = signal(spec.stop_signal);
    // SAFETY: runs in the forked child of a single-threaded process and does system calls only: no
    // allocation, no lock, nothing of the parent's is changed. Descriptors above 2 are only marked to be
    // closed by the exec, so the one by which the standard library reports a failure still works.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            umask(Mode::from_bits_truncate(0o077));
            default_signals()?;
            rustix::thread::set_no_new_privs(true)?;
            // After the change of user, which clears it.
            set_parent_process_death_signal(Some(death))?;
            if getppid() != Some(shim) {
                // The shim died before that was in force.
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            if libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the program's pid is out of range"))?;
    Ok(Spawned { pid, output })
}

/// An exec keeps blocked signals blocked and ignored ones ignored; the program
/// shall find none of either.
fn default_signals() -> io::Result<()> {
    // The kernel's `struct sigaction` and signal set, which all zero mean the default and none. The
    // C library's own functions would refuse the two signals it keeps for itself.
    let default = [0u64; 4];
    let none = 0u64;
    let set_size = size_of_val(&none);
    for number in 1..=64 {
        // SAFETY: `default` is at least as large as the structure and is only read. KILL and STOP are
        // refused, which is as well.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, &raw const default, 0usize, set_size) };
    }
    // SAFETY: `none` is a signal set of the size given and is only read.
    let done = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, set_size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
