// SPDX-License-Identifier: BSD-2-Clause
//! What a Rust program asks for that is compiled here: threads, panics that unwind, sockets, a child.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::{fs, panic, thread, time};

fn sum() -> bool {
    let (send, receive) = mpsc::channel();
    for n in 0..4u64 {
        let send = send.clone();
        thread::spawn(move || send.send((n..100000).step_by(4).map(|i| *Box::new(i)).sum::<u64>()).unwrap());
    }
    drop(send);
    receive.iter().sum::<u64>() == 4999950000
}

fn turns() -> bool {
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let threads: Vec<_> = (0..4)
        .map(|own| {
            let pair = pair.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    let mut turn = pair.1.wait_while(pair.0.lock().unwrap(), |turn| *turn % 4 != own).unwrap();
                    *turn += 1;
                    pair.1.notify_all();
                }
            })
        })
        .collect();
    threads.into_iter().all(|one| one.join().is_ok()) && *pair.0.lock().unwrap() == 800
}

fn timed_wait() -> bool {
    let begin = time::Instant::now();
    let lock = Mutex::new(());
    let (_lock, waited) =
        Condvar::new().wait_timeout_while(lock.lock().unwrap(), time::Duration::from_millis(50), |_| true).unwrap();
    waited.timed_out() && begin.elapsed() >= time::Duration::from_millis(50)
}

fn socket() -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(&[7; 300000]).unwrap();
    });
    let mut got = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
    peer.join().is_ok() && got.len() == 300000 && got.iter().all(|byte| *byte == 7)
}

fn child() -> bool {
    let echo = Command::new("echo").arg("child").output().unwrap();
    let failed = Command::new("sh").args(["-c", "exit 3"]).status().unwrap();
    echo.stdout == b"child\n" && failed.code() == Some(3)
}

fn main() {
    panic::set_hook(Box::new(|_| ()));
    let checks: [(&str, fn() -> bool); 6] = [
        ("threads", sum),
        ("turns by a condition variable", turns),
        ("a wait with a limit", timed_wait),
        ("a panic that unwinds", || panic::catch_unwind(|| fs::read("/none").unwrap()).is_err()),
        ("a socket", socket),
        ("a child", child),
    ];
    for (number, (name, check)) in checks.iter().enumerate() {
        println!("{}ok {} - {name}", if check() { "" } else { "not " }, number + 1);
    }
    println!("1..{}", checks.len());
}
