//! Pictures of series over one axis, as SVG.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::Results;
use crate::lab::{Panel, Plot};

const WIDTH: f64 = 860.0;
const PANEL: f64 = 230.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const GAP: f64 = 46.0;
const TICKS: f64 = 5.0;

/// Told apart by those who see colours differently too (Okabe and Ito).
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000"];

/// How the line of contender number `n` looks: those beyond the colours have dashes, and the first, which is looked for, is wider.
fn stroke(n: usize) -> String {
    let colour = COLOURS[n % COLOURS.len()];
    let width = if n == 0 { 2.6 } else { 1.6 };
    let dashes = if n < COLOURS.len() { "" } else { " stroke-dasharray=\"6 3\"" };
    format!("stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}")
}

pub(super) fn draw(results: &Results, plot: &Plot) -> String {
    let names = results.contenders();
    let height = TOP + plot.panels.len() as f64 * (PANEL + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n",
        escaped(plot.title)
    );
    legend(&mut svg, &names);
    let all = plot.panels.iter().flat_map(|panel| lines(results, panel, &names)).flat_map(|(_, points)| points.iter());
    let x_max = nice(all.map(|(x, _)| *x).fold(0.0, f64::max));
    for (n, panel) in plot.panels.iter().enumerate() {
        let top = TOP + n as f64 * (PANEL + GAP);
        let lines = lines(results, panel, &names);
        let y_max = nice(lines.iter().flat_map(|(_, points)| points.iter()).map(|(_, y)| *y).fold(0.0, f64::max));
        axes(&mut svg, top, x_max, y_max, panel.y, plot.x);
        // The first contender's is drawn last, above the others where they are the same.
        for (n, points) in lines.into_iter().rev() {
            let mut path = String::new();
            for (x, y) in points {
                let at_x = LEFT + x / x_max * (WIDTH - LEFT - RIGHT);
                let at_y = top + PANEL - y.min(y_max) / y_max * PANEL;
                let _ = write!(path, "{at_x:.1},{at_y:.1} ");
            }
            let _ = writeln!(svg, "<polyline fill=\"none\" {} points=\"{}\"/>", stroke(n), path.trim_end());
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The points of each contender that has this series, with its number.
fn lines<'r>(results: &'r Results, panel: &Panel, names: &[&str]) -> Vec<(usize, &'r [(f64, f64)])> {
    let of = |(n, name): (usize, &&str)| {
        let series = results.last(name)?.series(panel.series)?;
        Some((n, series.points.as_slice()))
    };
    names.iter().enumerate().filter_map(of).collect()
}

fn legend(svg: &mut String, names: &[&str]) {
    let mut x = LEFT;
    for (n, name) in names.iter().enumerate() {
        let _ = writeln!(svg, "<path d=\"M{x} 35h16\" {}/><text x=\"{}\" y=\"39\">{}</text>", stroke(n), x + 20.0, escaped(name));
        x += 34.0 + name.len() as f64 * 6.9;
    }
}

fn axes(svg: &mut String, top: f64, x_max: f64, y_max: f64, y_name: &str, x_name: &str) {
    let (right, bottom) = (WIDTH - RIGHT, top + PANEL);
    for n in 0..=TICKS as u32 {
        let share = f64::from(n) / TICKS;
        let y = bottom - share * PANEL;
        let x = LEFT + share * (right - LEFT);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            tick(y_max * share),
            bottom + 15.0,
            tick(x_max * share),
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#444\"/>\
         <text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text><text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        top - 5.0,
        escaped(y_name),
        bottom + 30.0,
        escaped(x_name),
    );
}

/// A round number that is no less.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|round| *round >= value * 0.9999).unwrap_or(value)
}

fn tick(value: f64) -> String {
    let text = if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
