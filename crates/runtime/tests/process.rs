//! What a program under a shim can rely on. (What happens when shims and
//! drivers are killed is in `killed.rs`.)

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use model::program::{Exit, Identity, ProgramSpec, ProgramState, RestartPolicy, StopSignal};
use runtime::{Driver, DriverError};
use support::{Scratch, alive, content, ends, eventually, kill, running_pid};

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    for (id, script, exit) in [
        ("good", "exit 0", Exit::Code(0)),
        ("bad", "exit 41", Exit::Code(41)),
        ("killed", "kill -9 $$", Exit::Signal(9)),
    ] {
        let spec = scratch.sh(id, script);
        driver.start(&spec).await.unwrap();
        assert_eq!(ends(&driver, &spec.id).await, exit);
    }
    scratch.assert_quiet();
}

#[tokio::test]
async fn output_is_kept_even_the_last_of_it() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch
        .sh("talker", "echo out; echo err >&2; echo again > /dev/stderr; printf 'bad \\377 byte'; exit 3");
    driver.start(&spec).await.unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(3));
    assert_eq!(driver.log_tail(&spec.id, 10).await.unwrap(), ["out", "err", "again", "bad \u{fffd} byte"]);
    assert_eq!(driver.log_tail(&spec.id, 2).await.unwrap(), ["again", "bad \u{fffd} byte"]);
    assert_eq!(driver.log_path(&spec.id), scratch.folder(&spec.id).join("log"));
}

#[tokio::test]
async fn logs_rotate_between_lines() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    // 45 MB in lines of 100 bytes, more than the three files hold.
    let line = "x".repeat(80);
    let spec = scratch.sh("verbose", &format!("seq -f '{line} %018.0f' 1 450000"));
    driver.start(&spec).await.unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(0));
    let folder = scratch.folder(&spec.id);
    assert!(!folder.join("log.3").exists());
    let mut next = None;
    for name in ["log.2", "log.1", "log"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.len() < (10 << 20) + 100 && text.ends_with('\n'), "{name} has {} bytes", text.len());
        assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        for line in text.lines() {
            let number: u64 = line[81..].parse().unwrap();
            assert_eq!(number, next.unwrap_or(number));
            next = Some(number + 1);
        }
    }
    assert_eq!(next, Some(450_001));
    assert_eq!(driver.log_tail(&spec.id, 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn restarts_back_off_and_are_counted() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = ProgramSpec {
        restart: RestartPolicy::Always,
        ..scratch.sh("flapping", "date +%s%3N >> times; exit 9")
    };
    driver.start(&spec).await.unwrap();
    let pauses = eventually("it was started five times", async || {
        let text = fs::read_to_string(scratch.path().join("times")).ok()?;
        let times: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        (times.len() == 5).then(|| times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>())
    })
    .await;
    for (pause, least) in pauses.iter().zip([200, 400, 800, 1600]) {
        assert!((least..least + 3000).contains(pause), "{pauses:?}");
    }
    // The program may have run before its shim has noted that it does.
    let last = eventually("it pauses", async || match driver.state(&spec.id).await.unwrap() {
        ProgramState::Restarting { last, restarts } => (restarts > 3).then_some((last, restarts)),
        _ => None,
    })
    .await;
    assert_eq!(last, (Exit::Code(9), 4));
    // A pause does not hold up a stop.
    let before = Instant::now();
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Code(9)));
    assert!(before.elapsed() < Duration::from_secs(2));
    scratch.assert_quiet();
}

#[tokio::test]
async fn a_program_that_cannot_be_run_again_is_tried_again() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let program = scratch.path().join("program");
    fs::copy("/bin/sleep", &program).unwrap();
    let spec = ProgramSpec {
        argv: vec![program.to_str().unwrap().to_owned(), "60".to_owned()],
        restart: RestartPolicy::Always,
        ..scratch.sh("vanishing", "")
    };
    driver.start(&spec).await.unwrap();
    fs::rename(&program, scratch.path().join("aside")).unwrap();
    kill(running_pid(&driver, &spec.id).await, "KILL");
    eventually("it is missed", async || {
        let state = driver.state(&spec.id).await.unwrap();
        matches!(state, ProgramState::Restarting { last: Exit::Code(127), .. }).then_some(())
    })
    .await;
    let log = driver.log_tail(&spec.id, 10).await.unwrap().join("\n");
    assert!(log.contains("No such file or directory"), "{log}");
    fs::rename(scratch.path().join("aside"), &program).unwrap();
    eventually("it runs again", async || {
        matches!(driver.state(&spec.id).await.unwrap(), ProgramState::Running { .. }).then_some(())
    })
    .await;
    driver.stop(&spec.id).await.unwrap();
}

#[tokio::test]
async fn stop_gives_the_grace_and_then_kills() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    // Ends in good order, some time after it was asked to.
    let good =
        scratch.sh("good", "trap 'sleep 0.3; exit 5' TERM; echo up > up; while :; do sleep 0.01; done");
    driver.start(&good).await.unwrap();
    content(&scratch.path().join("up")).await;
    assert_eq!(driver.stop(&good.id).await.unwrap(), Some(Exit::Code(5)));

    let deaf = ProgramSpec {
        grace: Duration::from_millis(500),
        ..scratch.sh("deaf", "trap '' TERM; echo up > deaf; while :; do sleep 0.01; done")
    };
    driver.start(&deaf).await.unwrap();
    content(&scratch.path().join("deaf")).await;
    let before = Instant::now();
    assert_eq!(driver.stop(&deaf.id).await.unwrap(), Some(Exit::Signal(9)));
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
    let log = driver.log_tail(&deaf.id, 1).await.unwrap();
    assert_eq!(log, ["[heddle] killed: it had not ended 0.5 s after its stop signal"]);
}

#[tokio::test]
async fn the_stop_signal_is_the_one_asked_for() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = ProgramSpec {
        stop_signal: StopSignal::Int,
        ..scratch
            .sh("int", "trap 'exit 6' INT; trap 'exit 7' TERM; echo up > up; while :; do sleep 0.01; done")
    };
    driver.start(&spec).await.unwrap();
    content(&scratch.path().join("up")).await;
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Code(6)));
}

/// Children in the group, in a session of their own, orphaned, and deaf: all go.
const FAMILY: &str = "
    trap '' TERM
    sleep 1000 & echo $! > child
    (setsid sh -c 'echo $$ > session; exec sleep 1000' &)
    (sh -c 'sh -c \"echo \\$\\$ > orphan; exec sleep 1000\" &')
    trap 'exit 0' TERM
    while ! [ -s child -a -s session -a -s orphan ]; do sleep 0.01; done
    echo up > up
";

async fn family(scratch: &Scratch) -> Vec<u32> {
    content(&scratch.path().join("up")).await;
    let mut pids = Vec::new();
    for name in ["child", "session", "orphan"] {
        pids.push(content(&scratch.path().join(name)).await.parse().unwrap());
    }
    assert!(pids.iter().all(|pid| alive(*pid)));
    pids
}

#[tokio::test]
async fn grandchildren_are_gone_after_a_stop() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch.sh("family", &format!("{FAMILY} while :; do sleep 0.01; done"));
    driver.start(&spec).await.unwrap();
    let pids = family(&scratch).await;
    assert_eq!(driver.stop(&spec.id).await.unwrap(), Some(Exit::Code(0)));
    assert!(!pids.iter().any(|pid| alive(*pid)));
    scratch.assert_quiet();
}

#[tokio::test]
async fn grandchildren_are_gone_when_a_program_has_ended() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch.sh("family", &format!("{FAMILY} while ! [ -e end ]; do sleep 0.01; done; exit 4"));
    driver.start(&spec).await.unwrap();
    let pids = family(&scratch).await;
    fs::write(scratch.path().join("end"), "").unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(4));
    assert!(!pids.iter().any(|pid| alive(*pid)));
}

#[tokio::test]
async fn a_program_inherits_nothing() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let script = "
        env | sort > env
        ls -l /proc/self/fd | tail -n +2 | wc -l > fds
        umask > umask
        pwd > pwd
        ps -o pid=,pgid=,sid= -p $$ > ids
        readlink /proc/$$/fd/0 > stdin
        echo done > done
    ";
    let mut spec = scratch.sh("bare", script);
    spec.env.insert("GIVEN".to_owned(), "a value".to_owned());
    driver.start(&spec).await.unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(0));
    let read = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap();

    let env = read("env");
    let names: Vec<&str> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    // sh itself adds PWD, and _ or OLDPWD by its kind.
    let unexpected: Vec<_> = names
        .iter()
        .filter(|name| !["GIVEN", "HEDDLE_PROGRAM", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert!(unexpected.is_empty() && env.contains("GIVEN=a value\n"), "{env}");
    // The three standard ones, and the one ls reads the folder with.
    assert_eq!(read("fds").trim(), "4");
    assert_eq!(read("umask").trim(), "0077");
    assert_eq!(read("pwd").trim(), scratch.path().to_str().unwrap());
    assert_eq!(read("stdin").trim(), "/dev/null");
    let ids = read("ids");
    let ids: Vec<&str> = ids.split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");

    // Not through sh, which blocks and catches what it likes.
    let argv = ["/bin/grep", "-E", "^(SigBlk|SigIgn|NoNewPrivs):", "/proc/self/status"];
    let spec = ProgramSpec { argv: argv.map(str::to_owned).to_vec(), ..scratch.sh("signals", "") };
    driver.start(&spec).await.unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(0));
    let none = "0000000000000000";
    assert_eq!(
        driver.log_tail(&spec.id, 9).await.unwrap(),
        [format!("SigBlk:\t{none}"), format!("SigIgn:\t{none}"), "NoNewPrivs:\t1".to_owned()]
    );
}

#[tokio::test]
async fn the_spec_is_for_the_owner_alone() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = ProgramSpec {
        env: BTreeMap::from([("SECRET".to_owned(), "hunter2".to_owned())]),
        ..scratch.sh("secret", "exec /bin/sleep 60")
    };
    driver.start(&spec).await.unwrap();
    let folder = scratch.folder(&spec.id);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["spec.json", "status.json", "lock", "log"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    // The shim itself has neither the secret nor anything else in its environment.
    let env = fs::read(format!("/proc/{}/environ", scratch.shim_pid(&spec.id))).unwrap();
    assert!(!String::from_utf8_lossy(&env).contains("hunter2"));
    driver.stop(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_shim_is_small_and_holds_nothing_open() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let spec = scratch.sh("small", "exec sleep 60");
    driver.start(&spec).await.unwrap();
    let shim = scratch.shim_pid(&spec.id);
    let status = fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(field("Threads:"), 1);
    assert!(field("RssAnon:") < 1024, "{} kB", field("RssAnon:"));
    // Three standard ones, signals, lock, log, the program's output.
    assert_eq!(fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count(), 7);
    assert_eq!(fs::read_link(format!("/proc/{shim}/cwd")).unwrap().to_str(), Some("/"));
    driver.stop(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_run_says_why() {
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let missing = ProgramSpec { argv: vec!["/no/such/program".to_owned()], ..scratch.sh("missing", "") };
    let nowhere = ProgramSpec { dir: "/no/such/folder".into(), ..scratch.sh("nowhere", "exit 0") };
    for spec in [missing, nowhere] {
        let error = driver.start(&spec).await.unwrap_err();
        let DriverError::Start { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains("/no/such") && reason.contains("No such file"), "{reason}");
        assert_eq!(driver.state(&spec.id).await.unwrap(), ProgramState::Absent);
    }
    scratch.assert_quiet();

    let no_shim = runtime::ProcessDriver::new(scratch.programs(), "/no/such/shim".into());
    assert!(matches!(no_shim.start(&scratch.sh("x", "exit 0")).await, Err(DriverError::Shim { .. })));
    let no_folder = runtime::ProcessDriver::new("/proc/programs".into(), support::SHIM.into());
    let error = no_folder.start(&scratch.sh("x", "exit 0")).await.unwrap_err();
    assert!(error.to_string().starts_with("start x: lock the program: "), "{error}");
}

#[tokio::test]
async fn an_identity_is_really_taken() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give identities");
        return;
    }
    let scratch = Scratch::new();
    let driver = scratch.driver();
    let script = "
        id -u; id -g; id -G
        grep -E '^(NoNewPrivs|CapEff|CapPrm|Uid|Gid):' /proc/self/status
        echo direct > /dev/stdout
        kill -0 $PPID 2>/dev/null && echo 'may signal the shim'
        cat /proc/$PPID/environ 2>/dev/null && echo 'may read the shim'
        ls $HEDDLE_PROGRAM 2>/dev/null && echo 'may list its folder'
        exit 0
    ";
    let spec = ProgramSpec {
        identity: Some(Identity { uid: 2_345_678, gid: 2_345_679 }),
        dir: "/".into(),
        ..scratch.sh("identity", script)
    };
    driver.start(&spec).await.unwrap();
    assert_eq!(ends(&driver, &spec.id).await, Exit::Code(0));
    let log = driver.log_tail(&spec.id, 20).await.unwrap();
    assert_eq!(
        log,
        [
            "2345678",
            "2345679",
            "2345679",
            "Uid:\t2345678\t2345678\t2345678\t2345678",
            "Gid:\t2345679\t2345679\t2345679\t2345679",
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "direct",
        ]
    );
    // It is stopped across the difference of identities as well.
    let lasting = ProgramSpec { argv: vec!["/bin/sleep".to_owned(), "1000".to_owned()], ..spec };
    driver.start(&lasting).await.unwrap();
    assert_eq!(driver.stop(&lasting.id).await.unwrap(), Some(Exit::Signal(15)));
}
