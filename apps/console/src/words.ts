/** Every word of the console, in English and in Spanish. `{n}` is filled in, in one language or in both. */
const words = {
  // Frame
  overview: ["Overview", "Resumen"],
  queues: ["Queues", "Colas"],
  jobs: ["Jobs", "Trabajos"],
  job: ["Job", "Trabajo"],
  failures: ["Failures", "Fallos"],
  schedules: ["Schedules", "Programaciones"],
  workers: ["Workers", "Trabajadores"],
  workersAndNodes: ["Workers and nodes", "Trabajadores y nodos"],
  nodes: ["Nodes", "Nodos"],
  webhooks: ["Webhooks", "Webhooks"],
  settings: ["Settings", "Ajustes"],
  menu: ["Menu", "Menú"],
  mainNavigation: ["Main", "Principal"],
  skipToContent: ["Skip to content", "Saltar al contenido"],
  live: ["Live", "En directo"],
  connecting: ["Connecting…", "Conectando…"],
  lost: ["Connection lost, trying again…", "Conexión perdida, reintentando…"],
  findOrDo: ["Find or do", "Buscar o hacer"],
  paletteHint: ["A screen, a queue, a job's id…", "Una pantalla, una cola, el id de un trabajo…"],
  toSearch: ["Search", "Buscar"],
  shortcuts: ["Keyboard shortcuts", "Atajos de teclado"],
  nothingHere: ["There is nothing here.", "Aquí no hay nada."],
  loading: ["Loading…", "Cargando…"],
  tryAgain: ["Try again", "Reintentar"],
  close: ["Close", "Cerrar"],
  cancel: ["Cancel", "Cancelar"],
  save: ["Save", "Guardar"],
  remove: ["Remove", "Eliminar"],
  create: ["Create", "Crear"],
  edit: ["Edit", "Editar"],
  done: ["Done", "Hecho"],
  saved: ["Saved", "Guardado"],
  removed: ["Removed", "Eliminado"],
  actions: ["Actions", "Acciones"],
  name: ["Name", "Nombre"],
  no: ["No", "No"],
  none: ["none", "ninguno"],
  all: ["All", "Todos"],
  time: ["Time", "Hora"],
  onlyLooking: ["You can look, not change", "Puede mirar, no cambiar"],

  // Signing in
  signIn: ["Sign in", "Entrar"],
  signOut: ["Sign out", "Salir"],
  token: ["Token", "Token"],
  tokenHint: [
    "A JWT or an API token. It is kept in this tab alone, until you close it.",
    "Un JWT o un token de API. Se guarda solo en esta pestaña, hasta que la cierre.",
  ],
  tokenRefused: [
    "The server refused the token: {reason}",
    "El servidor rechazó el token: {reason}",
  ],
  tokenEnded: ["The token has expired: sign in again.", "El token ha caducado: entre de nuevo."],
  serverAway: [
    "The server cannot be reached: {reason}",
    "No se puede contactar con el servidor: {reason}",
  ],
  tenant: ["Tenant", "Inquilino"],
  allTenants: ["All tenants", "Todos los inquilinos"],

  // States and figures
  waiting: ["waiting", "en espera"],
  delayed: ["delayed", "aplazado"],
  blocked: ["blocked", "bloqueado"],
  active: ["active", "activo"],
  completed: ["completed", "completado"],
  failed: ["failed", "fallido"],
  cancelled: ["cancelled", "cancelado"],
  paused: ["paused", "en pausa"],
  backlog: ["Backlog", "Pendientes"],
  latency: ["Latency", "Latencia"],
  failureShare: ["Failing", "Con fallo"],
  ratePerMinute: ["Ended/min", "Acabados/min"],
  running: ["Run time", "Duración"],
  waitingTime: ["Wait", "Espera"],
  utilisation: ["Utilisation", "Uso"],
  trend: ["Last hour", "Última hora"],
  period: ["Period", "Periodo"],
  period5m: ["5 min", "5 min"],
  period1h: ["1 h", "1 h"],
  period24h: ["24 h", "24 h"],
  period7d: ["7 d", "7 d"],
  engine: ["Engine", "Motor"],
  engineSqlite: ["Embedded (SQLite)", "Integrado (SQLite)"],
  engineBullmq: ["Distributed (Redis)", "Distribuido (Redis)"],
  version: ["Version", "Versión"],
  storeLatency: ["Trip to the store", "Viaje al almacén"],
  startedAt: ["Started", "Iniciado"],
  leader: ["leader", "líder"],
  queuesIdle: ["{n} queues without jobs", "{n} colas sin trabajos"],

  // Attention
  allIsWell: ["All is well", "Todo va bien"],
  needsAttention: ["Needs attention", "Requiere atención"],
  growingBacklog: [
    "The backlog grows: {n} jobs, {before} ten minutes ago",
    "Crecen los pendientes: {n} trabajos, {before} hace diez minutos",
  ],
  failingQueue: [
    "{share} of its jobs fail: {n} in the last 5 minutes",
    "Falla el {share} de sus trabajos: {n} en los últimos 5 minutos",
  ],
  noWorker: [
    "Jobs wait and no worker takes them: {n}",
    "Hay trabajos en espera y ningún trabajador los toma: {n}",
  ],
  pausedWithJobs: ["Paused while jobs wait: {n}", "En pausa con trabajos en espera: {n}"],
  lateSchedule: ["Was due {when} and has not run", "Debía ejecutarse {when} y no lo ha hecho"],
  noAppendOnlyFile: [
    "Redis keeps no append-only file: jobs it accepted are lost when it is killed (set appendonly yes)",
    "Redis no guarda un archivo de solo adición: los trabajos aceptados se pierden si se le mata (ponga appendonly yes)",
  ],
  mayEvict: [
    "Redis may drop jobs when memory is short: maxmemory-policy is {policy} (set noeviction)",
    "Redis puede descartar trabajos si falta memoria: maxmemory-policy es {policy} (ponga noeviction)",
  ],
  unreachable: ["The store cannot be reached", "No se puede contactar con el almacén"],

  // Queues
  queue: ["Queue", "Cola"],
  noQueues: [
    "No queue has had a job yet. Add one by the API, and it is shown here.",
    "Ninguna cola ha tenido trabajos todavía. Añada uno por la API y aparecerá aquí.",
  ],
  pause: ["Pause", "Pausar"],
  resume: ["Resume", "Reanudar"],
  limits: ["Limits", "Límites"],
  limitsOf: ["Limits of {queue}", "Límites de {queue}"],
  rateLimit: ["Starts a second", "Inicios por segundo"],
  concurrency: ["At once", "A la vez"],
  noLimit: ["no limit", "sin límite"],
  indexedPaths: [
    "Searchable paths in payloads, one a line",
    "Rutas buscables en los datos, una por línea",
  ],
  indexedPathsHint: ["For example data.wellId", "Por ejemplo data.wellId"],
  drain: ["Drain", "Vaciar"],
  drainOf: ["Drain {queue}", "Vaciar {queue}"],
  drainHint: [
    "Removes jobs that have not begun. What runs goes on. This cannot be undone.",
    "Elimina los trabajos que no han empezado. Lo que se ejecuta continúa. No se puede deshacer.",
  ],
  queuePaused: ["{queue} is paused", "{queue} está en pausa"],
  queueResumed: ["{queue} goes on", "{queue} continúa"],
  typed: ["built in", "integrada"],
  progressTold: ["{applied} of {total}", "{applied} de {total}"],
  refusedTold: ["{n} refused", "{n} rechazados"],
  stop: ["Stop", "Detener"],
  showJobs: ["Show jobs", "Ver trabajos"],
  findQueue: ["Find a queue", "Buscar una cola"],

  // Jobs
  allQueues: ["All queues", "Todas las colas"],
  state: ["State", "Estado"],
  created: ["Created", "Creado"],
  attempts: ["Attempts", "Intentos"],
  how: ["How it goes", "Cómo va"],
  progress: ["Progress", "Progreso"],
  noJobs: ["No job is like that.", "Ningún trabajo es así."],
  noSuchJob: ["There is no job {id}.", "No hay ningún trabajo {id}."],
  pageTold: ["{from}–{to} of {total}", "{from}–{to} de {total}"],
  newer: ["Newer", "Más nuevos"],
  older: ["Older", "Más antiguos"],
  searchBy: ["Search by", "Buscar por"],
  removeCondition: ["Remove the condition {what}", "Quitar la condición {what}"],
  id: ["Id", "Id"],
  tag: ["Tag", "Etiqueta"],
  error: ["Error", "Error"],
  payload: ["Payload", "Datos"],
  batch: ["Batch", "Lote"],
  project: ["Project", "Proyecto"],
  errorGroup: ["Error group", "Grupo de errores"],
  retryAll: ["Retry all", "Reintentar todos"],
  cancelAll: ["Cancel all", "Cancelar todos"],
  removeAll: ["Remove all", "Eliminar todos"],
  retryAllHint: [
    "Starts the {n} failed and cancelled jobs that are found anew.",
    "Vuelve a empezar los {n} trabajos fallidos y cancelados que se encuentran.",
  ],
  cancelAllHint: [
    "Cancels the {n} unfinished jobs that are found, running ones included.",
    "Cancela los {n} trabajos sin terminar que se encuentran, también los que se ejecutan.",
  ],
  removeAllHint: [
    "Removes the {n} jobs that are found and do not run. This cannot be undone.",
    "Elimina los {n} trabajos que se encuentran y no se ejecutan. No se puede deshacer.",
  ],
  retry: ["Retry", "Reintentar"],
  cancelJob: ["Cancel job", "Cancelar trabajo"],
  runNow: ["Run now", "Ejecutar ahora"],
  requeue: ["Edit and requeue", "Editar y reencolar"],
  requeueOf: ["Add job {id} again", "Añadir de nuevo el trabajo {id}"],
  requeueHint: [
    "A new job like this one, with what you change here.",
    "Un trabajo nuevo como este, con lo que cambie aquí.",
  ],
  requeued: ["Added as job {id}", "Añadido como trabajo {id}"],
  tooLongToEdit: [
    "The data is too long to edit here; it is taken over as it is.",
    "Los datos son demasiado largos para editarlos aquí; se toman tal como están.",
  ],
  removeOld: ["Remove the old job", "Eliminar el trabajo antiguo"],
  delaySeconds: ["Delay, seconds", "Retraso, segundos"],
  facts: ["Details", "Detalles"],
  due: ["Due", "Previsto"],
  finishedAt: ["Finished", "Terminado"],
  worker: ["Worker", "Trabajador"],
  crashes: ["Crashes", "Caídas"],
  priority: ["Priority", "Prioridad"],
  timeout: ["Time limit", "Tiempo límite"],
  uniqueKey: ["Unique key", "Clave única"],
  schedule: ["Schedule", "Programación"],
  addedVia: ["Added through", "Añadido por"],
  noAttempts: ["It has not run yet.", "Aún no se ha ejecutado."],
  run: ["Run {n}", "Ejecución {n}"],
  stalled: ["stalled", "estancado"],
  released: ["given back", "devuelto"],
  crashed: ["crashed", "caído"],
  gone: ["gone", "eliminado"],
  nextAttempt: ["Due again at {when}", "Previsto de nuevo: {when}"],
  runningFor: ["For {time}", "Desde hace {time}"],
  timeLeft: ["about {time} left", "quedan unos {time}"],
  items: ["{done} of {all} items", "{done} de {all} elementos"],
  itemsPerSecond: ["{n} items/s", "{n} elementos/s"],
  itemsFailed: ["{n} failed", "{n} fallidos"],
  stack: ["Stack", "Pila"],
  data: ["Data", "Datos"],
  result: ["Result", "Resultado"],
  showLong: ["Show {size}", "Mostrar {size}"],
  files: ["Files", "Archivos"],
  download: ["Download", "Descargar"],
  downloadFile: ["Download {name}", "Descargar {name}"],
  logs: ["Logs", "Registros"],
  dependencies: ["Dependencies", "Dependencias"],

  // Failures
  noFailures: ["No job has failed.", "Ningún trabajo ha fallado."],
  firstAndLast: ["first {first}, last {last}", "primero {first}, último {last}"],
  newestJob: ["newest: {id}", "el más nuevo: {id}"],
  inLastDay: ["{n} in 24 h", "{n} en 24 h"],
  nJobs: ["Jobs: {n}", "Trabajos: {n}"],
  retryGroup: ["Retry group", "Reintentar el grupo"],
  retryGroupHint: [
    "Starts the {n} jobs that failed like this anew.",
    "Vuelve a empezar los {n} trabajos que fallaron así.",
  ],

  // Schedules
  newSchedule: ["New schedule", "Nueva programación"],
  noSchedules: ["There is no schedule yet.", "Aún no hay ninguna programación."],
  lastRun: ["last run {when}", "última ejecución {when}"],
  nextRun: ["next run {when}", "próxima ejecución {when}"],
  nextRuns: ["Next five runs", "Próximas cinco ejecuciones"],
  yourTime: ["Your time ({zone})", "Su hora ({zone})"],
  cron: ["Cron expression", "Expresión cron"],
  timezone: ["Time zone", "Zona horaria"],
  description: ["Description", "Descripción"],
  jobName: ["Name of its jobs", "Nombre de sus trabajos"],
  dataJson: ["Data (JSON)", "Datos (JSON)"],

  // Workers
  noWorkers: [
    "No worker was heard of in the last minute.",
    "No hay noticias de ningún trabajador en el último minuto.",
  ],
  processed: ["Processed", "Procesados"],
  memory: ["Memory", "Memoria"],
  lag: ["Loop lag", "Retraso del bucle"],
  heardOf: ["Heard of", "Última señal"],
  node: ["Node", "Nodo"],
  address: ["Address", "Dirección"],

  // Webhooks
  newWebhook: ["New webhook", "Nuevo webhook"],
  noWebhooks: ["There is no webhook yet.", "Aún no hay ningún webhook."],
  test: ["Test", "Probar"],
  testSent: ["A test is on its way", "Se ha enviado una prueba"],
  allEvents: ["all events", "todos los eventos"],
  signed: ["signed", "firmado"],
  notSigned: ["not signed", "sin firma"],
  failingSince: ["Every attempt has failed since {when}", "Todos los intentos fallan desde {when}"],
  eventsDropped: [
    "Events it was not told of, since too many deliveries waited: {n}",
    "Eventos que no se le comunicaron, por haber demasiadas entregas en espera: {n}",
  ],
  events: ["Events", "Eventos"],
  event: ["Event", "Evento"],
  secret: ["Secret that signs deliveries", "Secreto que firma las entregas"],
  secretKept: ["kept as it is", "se mantiene"],
  deliveries: ["Deliveries", "Entregas"],
  delivery: ["Delivery {id}", "Entrega {id}"],
  noDeliveries: ["Nothing was sent yet.", "Aún no se ha enviado nada."],
  pending: ["pending", "pendiente"],
  delivered: ["delivered", "entregado"],
  answer: ["Answer", "Respuesta"],
  replay: ["Replay", "Repetir"],
  replayed: ["It is sent again", "Se envía de nuevo"],
  sent: ["Sent", "Enviado"],

  // Text and JSON
  moreCharacters: ["{n} more characters", "{n} caracteres más"],
  moreEntries: ["{n} more", "{n} más"],

  // Reasons: the server's own are in English, and stand behind what their codes say
  reasonInvalid: ["{reason}", "Los datos no son válidos: {reason}"],
  reasonTooLarge: ["{reason}", "Los datos ocupan más de {size}: {reason}"],
  reasonNotJson: ["{reason}", "No es JSON válido: {reason}"],
  reasonNoJob: ["{reason}", "El trabajo no existe: {reason}"],
  reasonNoQueue: ["{reason}", "La cola no existe: {reason}"],
  reasonNoSchedule: ["{reason}", "La programación no existe: {reason}"],
  reasonNoWebhook: ["{reason}", "El webhook no existe: {reason}"],
  reasonNoFile: ["{reason}", "El archivo no existe: {reason}"],
  reasonState: ["{reason}", "No se puede con un trabajo {state}: {reason}"],
  reasonDuplicateJob: ["{reason}", "El trabajo {id} ya usa esa clave única: {reason}"],
  reasonDuplicateSchedule: ["{reason}", "Ya hay una programación con ese nombre: {reason}"],
  reasonFull: ["{reason}", "Se ha alcanzado un límite: {reason}"],
  reasonTooOften: ["{reason}", "Demasiadas peticiones, pruebe en {seconds} s: {reason}"],
  reasonRole: ["{reason}", "Su token no lo permite: {reason}"],
  reasonServer: ["{reason}", "El servidor no puede hacerlo ahora: {reason}"],
  reasonNoAnswer: ["{reason}", "El servidor no responde: {reason}"],
  reasonLate: ["{reason}", "El servidor no ha respondido a tiempo: {reason}"],

  // Settings
  yourView: ["Your view", "Su vista"],
  yourToken: ["Your token", "Su token"],
  subject: ["Who", "Quién"],
  roles: ["Roles", "Roles"],
  validUntil: ["Valid until", "Válido hasta"],
  noEnd: ["without end", "sin fin"],
  serverSettings: ["The server's settings", "Ajustes del servidor"],
  serverSettingsHint: [
    "As they were read at the start; secrets are masked.",
    "Como se leyeron al inicio; los secretos están ocultos.",
  ],
  language: ["Language", "Idioma"],
  theme: ["Appearance", "Apariencia"],
  system: ["As the system", "Como el sistema"],
  light: ["Light", "Claro"],
  dark: ["Dark", "Oscuro"],
} as const satisfies Readonly<Record<string, readonly [en: string, es: string]>>;

export const languages = ["en", "es"] as const;

export type Language = (typeof languages)[number];
type Word = keyof typeof words;

type Gaps<Text extends string> = Text extends `${string}{${infer Gap}}${infer Rest}`
  ? Gap | Gaps<Rest>
  : never;
/** Words without gaps. */
export type Label = {
  [Key in Word]: Gaps<(typeof words)[Key][number]> extends never ? Key : never;
}[Word];
type Filling<Key extends Word> =
  Gaps<(typeof words)[Key][number]> extends never
    ? []
    : [filling: Readonly<Record<Gaps<(typeof words)[Key][number]>, string | number>>];

export type Translate = <Key extends Word>(key: Key, ...filling: Filling<Key>) => string;

export function translator(language: Language): Translate {
  const place = languages.indexOf(language) as 0 | 1;
  return (key, ...[filling]) => {
    const text = words[key][place];
    if (filling === undefined) return text;
    const values = filling as Readonly<Record<string, string | number>>;
    return text.replace(/\{(\w+)\}/g, (_, gap: string) => String(values[gap]));
  };
}
