import 'autoglm-web';

const seen = document.querySelector('output');
const chat = document.querySelector('autoglm-chat');

chat.examples = [{ text: 'Open Maps', image: './samples/home.png' }];
chat.addEventListener('autoglm-message', ({ turn }) => {
  seen.textContent = `${turn.role}: ${turn.text}`;
});
