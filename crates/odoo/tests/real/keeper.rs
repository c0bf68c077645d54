//! An archive service that keeps files in memory, in changing moods.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use model::program::Identity;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Keeping,
    /// Its socket is not there.
    Absent,
    /// Answers that there is no room, before it has read the file.
    Full,
    HangingUp,
    /// Answers what is no JSON.
    Babbling,
}

struct State {
    mood: Mood,
    kept: BTreeMap<String, Vec<u8>>,
}

pub struct Keeper {
    socket: PathBuf,
    aside: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Keeper {
    pub fn new(socket: &Path, identity: Option<Identity>) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        if let Some(Identity { uid, gid }) = identity {
            chown(socket, Some(uid), Some(gid)).unwrap();
        }
        let state = Arc::new(Mutex::new(State { mood: Mood::Keeping, kept: BTreeMap::new() }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { socket: socket.into(), aside: socket.with_extension("aside"), state }
    }

    pub fn be(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
        let (from, to) =
            if mood == Mood::Absent { (&self.socket, &self.aside) } else { (&self.aside, &self.socket) };
        if from.exists() {
            std::fs::rename(from, to).unwrap();
        }
    }

    pub fn kept(&self, sha1: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().kept.get(sha1).cloned()
    }
}

fn answer(stream: UnixStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(&stream);
    let mut header = String::new();
    if reader.read_line(&mut header).unwrap_or(0) == 0 {
        return;
    }
    let header: Value = serde_json::from_str(&header).unwrap();
    let mood = state.lock().unwrap().mood;
    let text = match mood {
        Mood::Keeping => {
            let mut bytes = vec![0; header["len"].as_u64().unwrap() as usize];
            reader.read_exact(&mut bytes).unwrap();
            let name = header["keep"].as_str().unwrap().to_owned();
            state.lock().unwrap().kept.insert(name, bytes);
            json!({"ok": true}).to_string()
        }
        Mood::Full => json!({"error": "no room"}).to_string(),
        Mood::Babbling => "hello".to_owned(),
        Mood::HangingUp | Mood::Absent => return,
    };
    let _ = writeln!(&stream, "{text}");
}
