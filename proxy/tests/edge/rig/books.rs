//! What the edge says it carried, held against itself when a test is over: a count that drifts shows up in whichever test made it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use karman_contract::status::SocketCounts;
use serde_json::Value;

use super::{Answer, Edge, parse};

/// How long the numbers may take to agree: they are read one after the other, and sockets come and go meanwhile.
const AGREE_WITHIN: Duration = Duration::from_secs(10);

/// Panics if the counts of tunnels do not agree with one another and with the access log.
pub fn check(edge: &Edge) {
    let start = Instant::now();
    while let Err(why) = agree(edge) {
        assert!(start.elapsed() < AGREE_WITHIN, "the books are wrong: {why}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn agree(edge: &Edge) -> Result<(), String> {
    let metrics = ask(TcpStream::connect(edge.probe), "/metrics").map(|answer| answer.text());
    // A test that ended its process, or that has none to ask, leaves nothing to check.
    let Some(metrics) = metrics else { return Ok(()) };
    let sum = |name: &str, app: &str| -> u64 {
        let series = format!("{name}{{app=\"{app}\"");
        metrics
            .lines()
            .filter(|line| line.starts_with(&series))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    };
    let Some(page) = ask(UnixStream::connect(edge.socket()), "/v1/apps").map(|answer| answer.json()) else { return Ok(()) };
    for id in page["apps"].as_object().into_iter().flatten().map(|(id, _)| id) {
        let (open, opened, closed) =
            (sum("karman_sockets", id), sum("karman_sockets_opened_total", id), sum("karman_sockets_closed_total", id));
        if opened != open + closed {
            return Err(format!("{id}: {opened} tunnels opened, {closed} closed, {open} open"));
        }
        let app = ask(UnixStream::connect(edge.socket()), &format!("/v1/apps/{id}")).map(|answer| answer.json());
        let instances = app.as_ref().and_then(|app| app["instances"].as_object()).into_iter().flatten();
        let carried: u64 = instances.filter_map(|(_, instance)| instance["tunnels"].as_u64()).sum();
        // An instance has let go of a tunnel whose client is slow to leave; the app has not.
        if carried > open {
            return Err(format!("{id}: its instances carry {carried} tunnels, {open} are open"));
        }
        let lines = edge.log();
        let logged_of = logged(&lines, id, None);
        if logged_of.values().sum::<u64>() != closed {
            return Err(format!("{id}: {opened} tunnels opened, {open} open, {closed} closed, the log has {logged_of:?}"));
        }
        let bytes = sum("karman_bytes_total", id);
        for (instance, status) in app.as_ref().and_then(|app| app["instances"].as_object()).into_iter().flatten() {
            let sockets: SocketCounts = serde_json::from_value(status["sockets"].clone()).unwrap();
            let (tunnels, ended) = (status["tunnels"].as_u64().unwrap_or(0), sockets.closed.values().sum::<u64>());
            if sockets.opened < tunnels + ended || sockets.opened - ended > open {
                return Err(format!("{id}, {instance}: {tunnels} tunnels, {sockets:?}, and {open} open in all"));
            }
            if sockets.oldest_seconds.is_some() != (tunnels > 0) && sockets.opened - ended == tunnels {
                return Err(format!("{id}, {instance}: {tunnels} tunnels, the oldest {:?} s", sockets.oldest_seconds));
            }
            if sockets.bytes_in + sockets.bytes_out > bytes {
                return Err(format!("{id}, {instance}: {sockets:?} of {bytes} bytes in all"));
            }
            let logged = logged(&lines, id, Some(instance));
            // An instance that went and came again counts from its beginning; the log has both.
            if sockets.closed.iter().any(|(by, count)| logged.get(by).copied().unwrap_or(0) < *count) {
                return Err(format!("{id}, {instance}: {sockets:?}, the log has {logged:?}"));
            }
        }
    }
    Ok(())
}

/// Tunnels of the app, or of one instance, that the log saw end, by who ended them.
fn logged(lines: &[Value], app: &str, instance: Option<&str>) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    let is_of = |line: &&Value| line["app"] == app && instance.is_none_or(|instance| line["instance"] == instance);
    for line in lines.iter().filter(is_of).filter(|line| line["status"] == 101) {
        if let Some(by) = line["by"].as_str() {
            *ends.entry(by.to_owned()).or_default() += 1;
        }
    }
    ends
}

fn ask(stream: std::io::Result<impl Read + Write>, path: &str) -> Option<Answer> {
    let mut stream = stream.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: books\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).ok()?;
    parse(&received).filter(|answer| answer.status == 200)
}
