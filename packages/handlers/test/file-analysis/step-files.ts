/** A cube from the origin as a STEP file (AP214) of planes, in the unit. */
export function cubeStep(size: number, unit: "millimetre" | "inch" = "millimetre"): string {
  const lines: string[] = [];
  const add = (entity: string): string => {
    lines.push(`#${lines.length + 1}=${entity};`);
    return `#${lines.length}`;
  };
  const point = (x: number, y: number, z: number) =>
    add(`CARTESIAN_POINT('',(${[x, y, z].map((value) => value.toFixed(6)).join(",")}))`);
  const direction = (x: number, y: number, z: number) =>
    add(`DIRECTION('',(${[x, y, z].map((value) => value.toFixed(1)).join(",")}))`);
  const list = (references: readonly string[]) => `(${references.join(",")})`;

  const at = (i: number) => [i & 1 ? size : 0, i & 2 ? size : 0, i & 4 ? size : 0] as const;
  const vertices = Array.from({ length: 8 }, (_, i) => add(`VERTEX_POINT('',${point(...at(i))})`));
  const edges = new Map<string, string>();
  const edge = (a: number, b: number): string => {
    const [from, to] = a < b ? [a, b] : [b, a];
    const key = `${from} ${to}`;
    const known = edges.get(key);
    if (known !== undefined) return known;
    const along = at(to).map((value, axis) => (value - at(from)[axis]!) / size);
    const vector = add(`VECTOR('',${direction(along[0]!, along[1]!, along[2]!)},1.)`);
    const line = add(`LINE('',${point(...at(from))},${vector})`);
    const made = add(`EDGE_CURVE('',${vertices[from]},${vertices[to]},${line},.T.)`);
    edges.set(key, made);
    return made;
  };
  const faces = [
    [
      [0, 2, 3, 1],
      [0, 0, -1],
    ],
    [
      [4, 5, 7, 6],
      [0, 0, 1],
    ],
    [
      [0, 1, 5, 4],
      [0, -1, 0],
    ],
    [
      [2, 6, 7, 3],
      [0, 1, 0],
    ],
    [
      [0, 4, 6, 2],
      [-1, 0, 0],
    ],
    [
      [1, 3, 7, 5],
      [1, 0, 0],
    ],
  ] as const;
  const advanced = faces.map(([corners, [x, y, z]]) => {
    const loop = corners.map((a, i) => {
      const b = corners[(i + 1) % 4]!;
      return add(`ORIENTED_EDGE('',*,*,${edge(a, b)},${a < b ? ".T." : ".F."})`);
    });
    const bound = add(`FACE_OUTER_BOUND('',${add(`EDGE_LOOP('',${list(loop)})`)},.T.)`);
    const across = x === 0 ? direction(1, 0, 0) : direction(0, 1, 0);
    const axes = add(
      `AXIS2_PLACEMENT_3D('',${point(...at(corners[0]))},${direction(x, y, z)},${across})`,
    );
    return add(`ADVANCED_FACE('',(${bound}),${add(`PLANE('',${axes})`)},.T.)`);
  });
  const solid = add(`MANIFOLD_SOLID_BREP('',${add(`CLOSED_SHELL('',${list(advanced)})`)})`);

  const millimetre = add("(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.))");
  const inch = () => {
    const dimensions = add("DIMENSIONAL_EXPONENTS(1.,0.,0.,0.,0.,0.,0.)");
    const measure = add(`LENGTH_MEASURE_WITH_UNIT(LENGTH_MEASURE(25.4),${millimetre})`);
    return add(`(CONVERSION_BASED_UNIT('INCH',${measure})LENGTH_UNIT()NAMED_UNIT(${dimensions}))`);
  };
  const length = unit === "inch" ? inch() : millimetre;
  const angle = add("(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))");
  const solidAngle = add("(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())");
  const accuracy = add(
    `UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-07),${length},'distance_accuracy_value','')`,
  );
  const context = add(
    `(GEOMETRIC_REPRESENTATION_CONTEXT(3)GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT((${accuracy}))GLOBAL_UNIT_ASSIGNED_CONTEXT((${length},${angle},${solidAngle}))REPRESENTATION_CONTEXT('',''))`,
  );
  const origin = add(
    `AXIS2_PLACEMENT_3D('',${point(0, 0, 0)},${direction(0, 0, 1)},${direction(1, 0, 0)})`,
  );
  const shape = add(`ADVANCED_BREP_SHAPE_REPRESENTATION('',(${origin},${solid}),${context})`);
  const application = add("APPLICATION_CONTEXT('automotive_design')");
  const product = add(
    `PRODUCT('cube','cube','',(${add(`PRODUCT_CONTEXT('',${application},'mechanical')`)}))`,
  );
  const formation = add(`PRODUCT_DEFINITION_FORMATION('','',${product})`);
  const definition = add(
    `PRODUCT_DEFINITION('design','',${formation},${add(`PRODUCT_DEFINITION_CONTEXT('part definition',${application},'design')`)})`,
  );
  const ofProduct = add(`PRODUCT_DEFINITION_SHAPE('','',${definition})`);
  add(`SHAPE_DEFINITION_REPRESENTATION(${ofProduct},${shape})`);
  return `ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('cube.step','2024-01-01T00:00:00',(''),(''),'','','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));
ENDSEC;
DATA;
${lines.join("\n")}
ENDSEC;
END-ISO-10303-21;
`;
}
