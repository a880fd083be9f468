// Examples of the paper, written by tools/laboratory.py from the chapters.
window.Lab = window.Lab || {};
Lab.examples = [
  {"name": "Section 4.3: sampling", "population": {"rewards": [[6, 1, 4], [3, 9, 4]], "weights": [0.5, 0.5]}},
  {"name": "Section 4.3: mediocrity", "population": {"rewards": [[0, 1, 4], [4, 1, 0], [0, 1, 0]], "weights": [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]}},
  {"name": "Appendix A: a third party", "population": {"rewards": [[6, 1, 2], [3, 9, 2]], "weights": [0.5, 0.5]}},
  {"name": "Appendix A: a mild majority", "population": {"rewards": [[0.5, 1.0], [0.5, -10.0]], "weights": [0.9, 0.1]}},
  {"name": "A slice of the ring", "population": {"rewards": [[2.5, 4.0, 2.5, 1.0, 0.0, 0.0], [0.0, 0.0, 0.75, 1.5, 0.75, 0.0], [0.0, 0.0, 0.0, 1.0, 2.5, 4.0]], "weights": [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]}},
  {"name": "A survey question", "population": {"rewards": [[-1.0538, -0.1665, 0.86102, -0.29166, 0.65095], [2.07933, 1.61934, 0.46616, -1.90408, -2.26075], [0.88974, 1.00295, 0.92672, -2.22206, -0.59736]], "weights": [0.4365634365634366, 0.49850149850149855, 0.06493506493506494]}},
];
