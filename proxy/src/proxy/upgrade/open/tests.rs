//! What every open tunnel keeps, however idle it is.

use super::*;

fn size_of_future<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// What grows here is paid for every socket: a step that only few of them come to belongs into a box.
#[test]
fn an_idle_tunnel_keeps_little() {
    let limits = [
        ("its task", size_of_future(Open::carry), 1_000),
        ("its state", size_of::<Tunnel>(), 112),
        ("its line", size_of::<Kept>(), 200),
    ];
    for (what, bytes, most) in limits {
        assert!(bytes <= most, "{what} takes {bytes} bytes, more than {most}");
    }
}
