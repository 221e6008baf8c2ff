// A server of Twilio's protocol as OpenAI ships it (@openai/agents-extensions), and the Realtime
// API it talks to, played here. Prints the port that Twilio would connect to, serves one call until its
// standard input ends, then prints a verdict: "good: …" or "WRONG: …".
//
// The dialogue: after half a second of the caller's audio a reply of three seconds; when the first
// 400 ms of it have been heard the caller speaks, which the transport turns into `clear` and a
// truncate; then a reply of 400 ms; when it has been heard to its end the server hangs up.
import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { TwilioRealtimeTransportLayer } from '@openai/agents-extensions';
import { WebSocketServer } from 'ws';

const FIRST = 0x2a, SECOND = 0x35; // the bytes of which the replies are made
const DELTA_BYTES = 1600, DELTAS = 15; // of 200 ms
const wrong = [];
const must = (condition, what) => { if (!condition) wrong.push(what); };
const counts = { heard: 0, media: 0, marks: 0, clears: 0 };
let truncated, callOver = false;

process.on('uncaughtException', (error) => wrong.push(`${error}`));
process.on('unhandledRejection', (error) => wrong.push(`${error}`));

// --- OpenAI's side ---

const openai = new WebSocketServer({ host: '127.0.0.1', port: 0 });
let say = () => {};
openai.on('connection', (socket) => {
  say = (type, members) => socket.send(JSON.stringify({ type, event_id: 'event_1', ...members }));
  say('session.created', { session: { id: 'sess_1', type: 'realtime' } });
  socket.on('message', (data) => {
    const event = JSON.parse(data);
    if (event.type === 'session.update') {
      say('session.updated', { session: event.session });
    } else if (event.type === 'input_audio_buffer.append') {
      const before = counts.heard;
      counts.heard += Buffer.from(event.audio, 'base64').length;
      if (before < 4000 && counts.heard >= 4000) reply('resp_1', 'item_1', FIRST, DELTAS);
    } else if (event.type === 'conversation.item.truncate') {
      must(event.item_id === 'item_1', `truncated ${event.item_id}`);
      truncated = event.audio_end_ms;
    }
  });
});

function reply(response, item, byte, deltas) {
  const ids = { response_id: response, item_id: item, output_index: 0, content_index: 0 };
  say('response.created', { response: { id: response, object: 'realtime.response',
    status: 'in_progress', output: [] } });
  say('response.output_item.added', { response_id: response, output_index: 0, item: { id: item,
    object: 'realtime.item', type: 'message', role: 'assistant', status: 'in_progress',
    content: [] } });
  const delta = Buffer.alloc(DELTA_BYTES, byte).toString('base64');
  for (let i = 0; i < deltas; ++i) say('response.output_audio.delta', { ...ids, delta });
  say('response.output_audio.done', ids);
}

function interrupt() {
  say('input_audio_buffer.speech_started', { audio_start_ms: 0, item_id: 'item_2' });
  reply('resp_2', 'item_3', SECOND, 2);
}

// --- Twilio's side ---

const twilio = new WebSocketServer({ host: '127.0.0.1', port: 0 });
twilio.on('connection', (socket, request) => {
  must(request.headers['x-twilio-signature'], 'no X-Twilio-Signature');
  const sent = []; // names of marks that are not acknowledged yet, in order
  const send = socket.send.bind(socket);
  socket.send = (text) => {
    const message = JSON.parse(text);
    if (message.event === 'mark') sent.push(message.mark.name);
    if (message.event === 'clear') ++counts.clears;
    send(text);
  };
  socket.on('close', (code) => { callOver = true; must(code === 1000, `close code ${code}`); });

  const transport = new TwilioRealtimeTransportLayer({
    twilioWebSocket: socket, url: `ws://127.0.0.1:${openai.address().port}/` });
  transport.on('*', (event) => {
    if (event.type !== 'twilio_message') return;
    const { message } = event;
    if (message.event === 'start') must(message.start.customParameters.call_id, 'no call_id');
    if (message.event === 'media' && transport.status === 'connected') ++counts.media;
    if (message.event !== 'mark') return;
    ++counts.marks;
    const { name } = message.mark;
    must(sent[0] === name, `mark ${name} came back, expected ${sent[0]}`);
    sent.shift();
    if (name.startsWith('item_1:400:')) interrupt();
    if (name.startsWith('done:item_3:')) {
      must(sent.length === 0, `marks that never came back: ${sent}`);
      must(counts.clears === 1, `${counts.clears} clears`);
      must(truncated > 0 && truncated < 3000, `truncated at ${truncated}`);
      socket.close(1000);
    }
  });
  const agent = new RealtimeAgent({ name: 'agent', instructions: 'Answer the phone.' });
  const session = new RealtimeSession(agent, { transport });
  session.on('error', ({ error }) => wrong.push(JSON.stringify(error)));
  session.connect({ apiKey: 'secret' });
});
twilio.on('listening', () => console.log(twilio.address().port));

process.stdin.resume();
process.stdin.on('end', () => {
  const gaveUp = Date.now() + 5000;
  const judge = () => {
    const { heard, media } = counts;
    // What went up is what came in: no gap was filled, nothing is missing.
    const isDone = callOver && heard === media * 160;
    if (!isDone && Date.now() < gaveUp) return setTimeout(judge, 20);
    must(callOver, `the call is not over: ${JSON.stringify(counts)}`);
    must(heard === media * 160, `heard ${heard} bytes of ${media} frames`);
    console.log(wrong.length > 0 ? `WRONG: ${wrong.join('; ')}` : `good: marks=${counts.marks}`);
    return process.exit(0);
  };
  judge();
});
